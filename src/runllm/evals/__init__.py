"""Tests of apps: which there are (`beside`), what they must give (`judge`), and how they are run (`suite`)."""

from runllm.evals.beside import beside, cases_of
from runllm.evals.suite import Figures, Group, Suite, Tried, Wanted, figures

__all__ = ["Figures", "Group", "Suite", "Tried", "Wanted", "beside", "cases_of", "figures"]
