"""Tests against the real omnibase_core (extra `onex`, Python 3.12 and newer); elsewhere they are not collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("omnibase_core") else ["test_*.py"]
