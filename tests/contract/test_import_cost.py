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


def test_the_way_to_receivers_brings_no_command_line() -> None:
    """Httpx would load its command line, with click, rich and pygments, where those are installed."""
    code = (
        "import asyncio, sys\n"
        f"from {FRONT_DOOR}.clients.http.target import HttpUploader\n"
        f"from {FRONT_DOOR}.settings import DeploymentSenderSettings\n"
        "asyncio.run(HttpUploader(DeploymentSenderSettings()).check('http://127.0.0.1'))\n"
        "print(*[name for name in ('httpx', 'httpx._main', 'click', 'rich', 'pygments') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ["httpx"] == done.stdout.split()
