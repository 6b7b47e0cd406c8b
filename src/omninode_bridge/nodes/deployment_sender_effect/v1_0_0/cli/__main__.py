"""`python -m ...v1_0_0.cli` is `deployment-sender`."""

from . import main

main()
