"""The reference receiver's settings."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings

SECRET = "s" * 32


def test_a_receiver_reads_several_keys_from_one_variable() -> None:
    """Both keys are valid while a key is replaced."""
    keys = f"old:{SECRET}, new:{SECRET}"

    settings = ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": keys})

    assert [f"old:{SECRET}", f"new:{SECRET}"] == [key.get_secret_value() for key in settings.signing_keys]
    assert 5_000_000_000 == settings.max_package_size_bytes


def test_a_receiver_has_several_names() -> None:
    """They are compared with the Host header, so they are in lower case."""
    names = "Edge-7.example, 10.1.2.3:8001 [fd12::1]:8001"

    settings = ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_HOST_NAMES": names})

    assert ("edge-7.example", "10.1.2.3:8001", "[fd12::1]:8001") == settings.host_names


@pytest.mark.parametrize("name", ["http://edge", "edge/x", "edge:", "fd12::1", "*.example", "a b@c"])
def test_a_name_that_no_host_header_has_is_refused(name: str) -> None:
    """A receiver with such a name would refuse every request."""
    with pytest.raises(InvalidInputError, match=r"settings: host_names\.0: a host name is NAME or NAME:PORT"):
        ReceiverSettings.load({"host_names": [name]}, {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("container_memory_mb", "6"),
        ("container_memory_mb", "inf"),
        ("container_cpus", "0"),
        ("container_pids", "0"),
        ("container_log_max_mb", "0"),
        ("container_log_files", "0"),
        ("container_stop_seconds", "0"),
        ("start_watch_seconds", "-1"),
        ("health_timeout_seconds", "nan"),
        ("watch_interval_seconds", "0"),
    ],
)
def test_a_limit_that_an_engine_would_refuse_is_refused_at_the_start(field: str, value: str) -> None:
    """Otherwise each deployment would fail."""
    with pytest.raises(InvalidInputError, match=f"settings: {field}: "):
        ReceiverSettings.load({}, {ReceiverSettings.env_name(field): value})
