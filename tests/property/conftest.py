"""Property tests try the same examples in every run, and few enough of them to run each time."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=200)
settings.load_profile("repeatable")
