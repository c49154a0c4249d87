"""What flows from an app into those it uses, and into an output that is built without a model.

`scopes` says what templates may read of the apps that are used, `flows` types what a `with`, `for_each` or `output`
value gives, `checking` holds it against the schema that it must fit before anything runs, `needs` orders the
dependencies, and `building` makes the values when they run.
"""
