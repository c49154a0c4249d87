"""Where a request becomes a completion: one protocol, one file per way to run a model."""
