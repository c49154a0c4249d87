"""Tests of apps: which there are (`beside`), what they must give (`judge`), and how they are run (`suite`)."""

from runllm.evals.beside import beside, cases_of
from runllm.evals.figures import Figures, Tried, figures
from runllm.evals.groups import Group, Wanted
from runllm.evals.suite import Suite

__all__ = ["Figures", "Group", "Suite", "Tried", "Wanted", "beside", "cases_of", "figures"]
