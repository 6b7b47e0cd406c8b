"""Many deployments at once through one node, while what is around it breaks; see `./dev soak`.

The engine, the receiver, the broker and the proxy are real ones, those of the tests.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
