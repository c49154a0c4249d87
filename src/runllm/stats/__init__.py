"""What runs cost and how well answers fitted: a SQLite file, and the figures made from it.

Nothing is imported here, so that the values in `records` can be had without SQLite.
"""
