"""Fuzzing: each target holds one part of runllm against any bytes at all. `README.md` says how to run it."""
