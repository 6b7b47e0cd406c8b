"""A proxy that refuses: a real nginx, which the sender distinguishes from the receiver behind it."""

from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode, ModelPackageTransferOutput
from support.http.nginx import Nginx
from support.process.ports import free_port
from support.receiver.target import Target
from support.sending.node import KEY, Sender

KEYS = {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": KEY}
PASSED = "proxy_set_header Host $http_host;"


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """The sender."""
    return Sender(tmp_path / "packages")


@pytest.fixture
def package(sender: Sender) -> str:
    """The package."""
    return sender.keep_image(100 << 10)


async def refused(sender: Sender, package: str, url: str) -> tuple[ModelPackageTransferOutput, str, str]:
    """Send a package that is refused; return the output with its message and recovery."""
    async with sender.node(signing_key=KEY, transfer_attempts=2) as node:
        output = await sender.send(node, package, url)
    assert not output.success
    return output, str(output.error_message), str(output.recovery)


async def test_a_body_that_is_too_large_for_the_proxy(tmp_path: Path, sender: Sender, package: str) -> None:
    """The recovery names the proxy's limit, and not the receiver's."""
    nginx = Nginx(tmp_path / "nginx")
    with Target(tmp_path / "store", environ=KEYS) as receiver:
        location = f"location / {{ proxy_pass {receiver.url}; {PASSED} }}"
        with nginx.serving(f"client_max_body_size 10k; {location}"):
            output, message, recovery = await refused(sender, package, nginx.url)

    assert (ErrorCode.PACKAGE_TOO_LARGE, 1) == (output.error_code, output.attempts)
    assert message.startswith("the proxy nginx")
    assert "responded 413 " in message
    assert "client_max_body_size 0" in recovery
    assert "max_package_size_gb" not in recovery


async def test_a_host_that_the_proxy_rewrites(tmp_path: Path, sender: Sender, package: str) -> None:
    """The receiver refuses the signature; the recovery names the proxy's setting before the key."""
    nginx = Nginx(tmp_path / "nginx")
    with (
        Target(tmp_path / "store", environ=KEYS) as receiver,
        nginx.serving(f"location / {{ proxy_pass {receiver.url}; }}"),
    ):
        output, message, recovery = await refused(sender, package, nginx.url)

    assert (ErrorCode.TRANSFER_FAILED, 1) == (output.error_code, output.attempts)
    assert message.startswith("the receiver responded 401 Unauthorized: the signature does not match")
    assert "proxy_set_header Host $http_host" in recovery
    assert "--public-url" in recovery


async def test_a_host_that_the_proxy_forwards_unchanged(tmp_path: Path, sender: Sender, package: str) -> None:
    """With the advice followed, the package arrives."""
    nginx = Nginx(tmp_path / "nginx")
    with Target(tmp_path / "store", environ=KEYS) as receiver:
        location = f"location / {{ proxy_pass {receiver.url}; {PASSED} proxy_request_buffering off; }}"
        with nginx.serving(f"client_max_body_size 0; {location}"):
            async with sender.node(signing_key=KEY) as node:
                output = await sender.send(node, package, nginx.url)

    assert (True, True) == (output.success, output.checksum_verified)


async def test_a_proxy_without_a_receiver_behind_it(tmp_path: Path, sender: Sender, package: str) -> None:
    """The receiver may be starting, so the transfer is retried; the recovery says to start it."""
    nginx = Nginx(tmp_path / "nginx")
    port = free_port()
    with nginx.serving(f"location / {{ proxy_pass http://127.0.0.1:{port}; }}"):
        output, message, recovery = await refused(sender, package, nginx.url)

    assert (ErrorCode.TRANSFER_FAILED, 2) == (output.error_code, output.attempts)
    assert "responded 502 Bad Gateway instead of the receiver" in message
    assert "Start the receiver behind nginx" in recovery


async def test_a_path_that_the_proxy_does_not_forward(tmp_path: Path, sender: Sender, package: str) -> None:
    """The URL or the proxy must be corrected."""
    nginx = Nginx(tmp_path / "nginx")
    with nginx.serving("location / { return 404; }"):
        output, message, recovery = await refused(sender, package, nginx.url)

    assert (ErrorCode.TRANSFER_FAILED, 1) == (output.error_code, output.attempts)
    assert "responded 404 Not Found instead of the receiver" in message
    assert "proxy_pass" in recovery
