"""`python -m ...v1_0_0.cli` is `deployment-sender`."""

from ..cli import main

main()
