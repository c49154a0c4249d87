"""Apps as tools of other models, over the Model Context Protocol.

`tools` makes a tool of an app, `server` answers for them, `stdio` and `http` carry what is said. The apps run in the
`house` of `runllm.serve`, within its limits; who may ask and what of an error may be told is decided there as well.
"""
