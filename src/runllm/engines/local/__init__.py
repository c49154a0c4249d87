"""Models run in this process: the engine, llama.cpp, and the forms and grammars that hold answers to a schema."""
