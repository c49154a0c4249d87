"""The figures of many runs for a reader: a table for a terminal, a page for a browser, JSON and CSV for programs.

Nothing is imported here: each form is paid for by whoever asks for it.
"""
