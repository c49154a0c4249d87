"""Run an app on many rows, from a file to a file, as dependably as a database load."""

from runllm.batch.checking import Checked, Counts, Misfit, Wanted
from runllm.batch.job import Batch
from runllm.batch.sources import Reading
from runllm.batch.tally import Expected, Summary

__all__ = ["Batch", "Checked", "Counts", "Expected", "Misfit", "Reading", "Summary", "Wanted"]
