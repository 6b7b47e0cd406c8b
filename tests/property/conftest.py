"""Property tests try few enough examples to run each time, and the same ones where the same modules are imported.

Hypothesis takes constants from local modules, too: on the wheel the examples are others than on the tree.
"""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None, max_examples=200)
settings.load_profile("repeatable")
