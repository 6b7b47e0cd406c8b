"""What importing the front door brings in."""

import subprocess
import sys

FRONT_DOOR = "omninode_bridge.nodes.deployment_sender_effect.v1_0_0"
COSTLY = (
    "aiokafka",
    "backports.zstd",
    "blake3",
    "docker",
    "httpcore",
    "httpx",
    "isal",
    "prometheus_client",
    "starlette",
    "yaml",
)


def test_the_front_door_imports_no_client() -> None:
    """Vendor libraries load where they are opened."""
    code = f"import sys, {FRONT_DOOR}\nprint(*[name for name in {COSTLY} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert [] == done.stdout.split()
