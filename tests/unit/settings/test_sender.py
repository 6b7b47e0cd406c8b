"""The node's settings."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings


def test_allowed_receivers_are_one_text_or_several() -> None:
    """Names are converted to lower case, and networks to their usual form."""
    patterns = ("edge.example", "*.lab.example", "10.0.0.0/8", "127.0.0.1/32", "fd12::/32", "::1/128", "a.example")
    text = "Edge.example, *.lab.example 10.0.0.0/8,127.0.0.1 fd12::/32 [0:0:0:0:0:0:0:1] A.example."

    for settings in (
        DeploymentSenderSettings.load({}, {"DEPLOYMENT_SENDER_ALLOWED_RECEIVERS": text}),
        DeploymentSenderSettings.load({"allowed_receivers": text.replace(",", " ").split()}, {}),
    ):
        assert patterns == settings.allowed_receivers


@pytest.mark.parametrize(
    "pattern",
    [
        "http://edge",
        "edge:8001",
        "edge/deploy",
        "*",
        "a.*.example",
        "10.0.0.1/8",
        "10.0.0.300",
        "10.0.0.0/33",
        "[edge]",
        "[::1]:8001",
        "é.de",
    ],
)
def test_an_invalid_pattern_is_refused(pattern: str) -> None:
    """A pattern that never matches would be noticed too late."""
    with pytest.raises(DeploymentSenderError, match=r"settings: allowed_receivers\.1: a receiver is allowed by a host"):
        DeploymentSenderSettings.load({"allowed_receivers": ["edge", pattern]}, {})


@pytest.mark.parametrize("url", ["ftp://edge", "http://me:secret@edge", "edge:8001", "http://edge/?a=b"])
def test_a_default_receiver_is_checked_as_an_input_is(url: str) -> None:
    """The error names the setting, and never its value."""
    with pytest.raises(DeploymentSenderError, match="settings: default_receiver_url: the receiver's URL") as caught:
        DeploymentSenderSettings.load({}, {"DEFAULT_RECEIVER_URL": url})

    assert "secret" not in str(caught.value)
