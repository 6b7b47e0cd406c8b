"""Facts of a response: the proxy that handled it, the error that it reports."""

import pytest

from support.receiver.scripted import Reply
from support.sending.content import response_of


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("nginx/1.22.1", "nginx/1.22.1"),
        ("nginx", "nginx"),
        ("Apache/2.4 (Debian)", "Apache/2.4 (Debian)"),
        ("cloudflare", "cloudflare"),
        ("uvicorn", None),
        ("nginxious", None),
        ("", None),
    ],
)
def test_a_proxy_is_known_by_its_own_name(server: str, name: str | None) -> None:
    """A receiver of another make has a name, too."""
    assert name == response_of(Reply(headers={"Server": server})).proxy


@pytest.mark.parametrize("body", ["", "no", "[]", "{}", '{"error_message": ""}', '{"error_message": 5}', "<html>"])
def test_a_body_without_an_error_is_not_a_receivers(body: str) -> None:
    """Something in front of the receiver has responded."""
    assert response_of(Reply(500, body)).error is None
