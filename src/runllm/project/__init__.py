"""From a path to a `Plan`: a file and those that it uses, each read once, wired and checked.

`loading` reads them, `check` finds what is wrong with each, and what a run would be refused of its models, `wire` holds
what flows between apps against the contracts it must fit, as `flow` types it, `early` finds the blocks that come before
them, and `build` makes it when they run.
"""

from runllm.project.check import unpublished
from runllm.project.loading import Loaded, load, load_text, project_root

__all__ = ["Loaded", "load", "load_text", "project_root", "unpublished"]
