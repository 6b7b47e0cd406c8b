"""A receiver behind a real nginx, which changes the Host and the path as nginx does by default."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ErrorCode
from support.http.nginx import Nginx
from support.receiver.deliveries import failed
from support.receiver.target import Target
from support.sending.node import KEY, SECRET, Sender

_KEYS = {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": KEY}


@contextmanager
def behind(folder: Path, location: str, rest: str = "/", more: str = "", public: str | None = None) -> Iterator[str]:
    """Run a receiver behind nginx; return the URL of nginx.

    Args:
        folder: For both.
        location: What nginx passes on.
        rest: `/` if it takes the location's path away.
        more: Further directives for it.
        public: The path of the receiver's public URL; None if the receiver has none.
    """
    nginx = Nginx(folder / "nginx")
    option = [] if public is None else ["--public-url", nginx.url + public]
    with Target(folder / "store", *option, environ=_KEYS) as receiver:
        directives = f"client_max_body_size 0; location {location} {{ proxy_pass {receiver.url}{rest}; {more} }}"
        with nginx.serving(directives):
            yield nginx.url
        assert SECRET not in "\n".join(receiver.process.lines)


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """A sender with a package."""
    return Sender(tmp_path / "packages")


@pytest.fixture
def package(sender: Sender) -> str:
    """The package's id."""
    return sender.keep_image(100 << 10)


async def delivered(sender: Sender, package_id: str, url: str) -> bool:
    """Send a package twice; return whether it was the same deployment both times."""
    async with sender.node(signing_key=KEY) as node:
        output = await sender.send(node, package_id, url)
        again = await sender.send(node, package_id, url)
    assert output.success, output
    return (again.success, again.remote_deployment_id) == (True, output.remote_deployment_id)


_HOST = "proxy_set_header Host $http_host;"  # nginx sends `$proxy_host` by default
_WAYS: dict[str, tuple[str, str, str, str | None]] = {
    "the Host is rewritten": ("/", "", "", ""),
    "the path is taken away": ("/in/", "/", "", "/in"),
    "the path is passed on": ("/in/", "", "", "/in"),
    "the path is taken away, the Host is passed on": ("/in/", "/", _HOST, "/in/"),
    "the path and the Host are passed on": ("/a/b/", "", _HOST, "/a/b"),
    "nothing is changed": ("/", "", _HOST, None),
}


@pytest.mark.parametrize("way", _WAYS.values(), ids=_WAYS.keys())
async def test_signed_requests_pass_a_proxy(
    tmp_path: Path, sender: Sender, package: str, way: tuple[str, str, str, str | None]
) -> None:
    """However it changes the Host and the path, if the receiver knows its public URL."""
    with behind(tmp_path, *way) as url:
        assert await delivered(sender, package, url + (way[-1] or ""))


async def test_without_the_public_url_the_refusal_says_what_is_missing(
    tmp_path: Path, sender: Sender, package: str
) -> None:
    """It names the host and path for which the signature was checked."""
    with behind(tmp_path, "/in/") as url:
        async with sender.node(signing_key=KEY) as node:
            output = await sender.send(node, package, f"{url}/in")
    assert (ErrorCode.TRANSFER_FAILED, 1) == failed(output)
    assert "401 Unauthorized: the signature does not match" in str(output.error_message)
    assert "(checked as POST 127.0.0.1:" in str(output.error_message)
    assert "/deploy)" in str(output.error_message)


async def test_the_public_url_does_not_weaken_the_signature(tmp_path: Path, sender: Sender, package: str) -> None:
    """Requests that were signed for another place are refused: for another path, and past the proxy."""
    with behind(tmp_path, "/in/", public="/other") as url:
        async with sender.node(signing_key=KEY) as node:
            output = await sender.send(node, package, f"{url}/in")
    assert (ErrorCode.TRANSFER_FAILED, 1) == failed(output)
    assert "/other/deploy)" in str(output.error_message)
