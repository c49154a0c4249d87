"""The local catalogue: which models there are, how one is pulled and verified, found, and removed.

`known` are the models with a name; any GGUF file of the hub is `hf:ORG/REPO:FILE`. Pulled files are in one folder,
`RUNLLM_MODELS` or the user's own; nothing is pulled unless it is asked for. Nothing is imported here: a run of a local
model only looks up where its file is.
"""
