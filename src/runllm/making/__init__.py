"""Make the first file of an app, as text: `gallery` from an app that is there, `answers` from what a user says.

`writing` has a model say it.
"""
