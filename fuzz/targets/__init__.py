"""One module for each target: `check`, the `TOKENS` of its inputs, and `seeds` beside its corpus."""
