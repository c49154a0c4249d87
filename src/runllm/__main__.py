"""`python -m runllm` is the `runllm` command."""

from runllm.cli import main

main()
