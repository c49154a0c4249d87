"""The options of a command in groups, so that what most people look for is found first."""

from __future__ import annotations

import click

_GROUPS = {
    "Input": ("literal", "text", "path", "reading_form", "encoding", "delimiter", "sheet", "maps", "rows", "limit"),
    "Model": (
        "model", "models", "engine", "max_retries", "whole_tree", "slots", "auto_pull", "ollama_auto_pull", "cache",
        "cache_for",
    ),
    "Output": (
        "form", "target", "junit", "keep", "key", "prefix", "flatten", "raw_cells", "unordered", "report",
    ),
    "Limits": (
        "timeout", "max_calls", "max_cost", "max_cost_per_day", "max_time", "allow_unpriced", "concurrency", "rpm",
        "tpm", "max_failures", "queue", "max_body", "grace", "block_timeout", "block_memory",
    ),
    "Trust": ("trust_python", "allowed_bases"),
}  # fmt: skip
"""What the options are about, by the names of their parameters; what stands in no group comes last."""


class Grouped(click.Command):
    """A command whose help shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the groups that it has."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        left = {option.name: record for option in options if (record := option.get_help_record(ctx))}
        groups = {title: [left.pop(name) for name in list(left) if name in names] for title, names in _GROUPS.items()}
        others = "Other options" if any(groups.values()) else "Options"
        for title, records in {**groups, others: list(left.values())}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
