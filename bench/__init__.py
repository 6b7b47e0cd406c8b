"""Ours and what people use instead, in turn and in one run; see `./dev bench`.

It decides no test: it reports how fast things are here, and fails only where something is wrong.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))
