"""Where settings come from, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, ErrorCode
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import (
    DeploymentSenderSettings,
    ReceiverSettings,
    split_signing_key,
)

SECRET = "s" * 32


def test_container_values_win_over_the_environment_and_that_over_defaults() -> None:
    """The order of DESIGN: container, environment, default."""
    settings = DeploymentSenderSettings.load(
        {"package_dir": "/from/container"},
        {"PACKAGE_DIR": "/from/environment", "KAFKA_BOOTSTRAP_SERVERS": "broker:9092"},
    )

    assert (Path("/from/container"), "broker:9092", "gzip") == (
        settings.package_dir,
        settings.kafka_bootstrap_servers,
        settings.compression,
    )


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("package_dir", "PACKAGE_DIR"),
        ("docker_host", "DOCKER_HOST"),
        ("kafka_bootstrap_servers", "KAFKA_BOOTSTRAP_SERVERS"),
        ("default_receiver_url", "DEFAULT_RECEIVER_URL"),
        ("compression", "DEPLOYMENT_SENDER_COMPRESSION"),
    ],
)
def test_each_setting_has_its_variable(field: str, name: str) -> None:
    """Four names are shared with other programs, the rest carry ours."""
    assert name == DeploymentSenderSettings.env_name(field)


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, os.environ is the environment; units are in the names."""
    monkeypatch.setenv("DEPLOYMENT_SENDER_MAX_PACKAGE_SIZE_GB", "0.5")

    assert 500_000_000 == DeploymentSenderSettings.load().max_package_size_bytes


def test_none_and_unknown_keys_of_a_container_are_passed_over() -> None:
    """An orchestrator's container holds other nodes' values too."""
    settings = DeploymentSenderSettings.load({"compression": None, "consul_host": "x"}, {"DOCKER_HOST": " "})

    assert ("gzip", None) == (settings.compression, settings.docker_host)


def test_a_relative_folder_becomes_absolute_and_home_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of directory must not move the store."""
    monkeypatch.setenv("HOME", "/home/someone")

    assert Path("/home/someone/x") == DeploymentSenderSettings.load({"package_dir": "~/x"}, {}).package_dir
    assert DeploymentSenderSettings.load({"package_dir": "x"}, {}).package_folder.is_absolute()


def test_a_default_folder_is_worked_out_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the home of the user of then."""
    sender, receiver = DeploymentSenderSettings.load({}, {}), ReceiverSettings.load({}, {})
    monkeypatch.setenv("HOME", "/home/someone")

    assert Path("/home/someone/.local/share/deployment-sender") == sender.package_folder
    assert Path("/home/someone/.local/share/deployment-receiver") == receiver.store_folder


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken for the root folder."""
    monkeypatch.setenv("HOME", "")
    settings = DeploymentSenderSettings.load({}, {})

    with pytest.raises(DeploymentSenderError, match="package_dir is not set, and its default ~") as caught:
        _ = settings.package_folder

    assert ErrorCode.VALIDATION_ERROR == caught.value.code
    assert "--package-dir" in caught.value.recovery


@pytest.mark.parametrize("path", ["~/x.pem", "~nobody-of-this-name/x.pem"])
def test_a_path_in_a_home_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """By the setting's name."""
    monkeypatch.setenv("HOME", "")

    with pytest.raises(DeploymentSenderError, match="settings: ca_file: is in a home directory, and there is none"):
        DeploymentSenderSettings.load({"ca_file": path}, {})


def test_a_relative_path_needs_a_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was removed is none."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    with pytest.raises(DeploymentSenderError, match="settings: ca_file: is relative to the current folder, which is"):
        DeploymentSenderSettings.load({"ca_file": "x.pem"}, {})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DEPLOYMENT_RECEIVER_SIGNING_KEY", "DEPLOYMENT_RECEIVER_SIGNING_KEYS"),
        ("DEPLOYMENT_RECEIVER_DOCKER_HOST", "DOCKER_HOST"),
        ("DEPLOYMENT_RECEIVER_HOSTNAMES", "DEPLOYMENT_RECEIVER_HOST_NAMES"),
        ("deployment_receiver_run", "DEPLOYMENT_RECEIVER_RUN"),
    ],
)
def test_a_receiver_refuses_a_variable_that_is_no_setting(name: str, meant: str) -> None:
    """With the nearest name and without the value, which may be a key."""
    with pytest.raises(DeploymentSenderError) as caught:
        ReceiverSettings.load({}, {name: SECRET})

    assert ErrorCode.VALIDATION_ERROR == caught.value.code
    assert f"the environment variable {name} is no setting; is it {meant}?" == caught.value.message


def test_every_wrong_variable_is_named_at_once() -> None:
    """One for which no name is near, too."""
    with pytest.raises(DeploymentSenderError) as caught:
        ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_ZZZ": "1", "DEPLOYMENT_RECEIVER_PROT": "1"})

    assert (
        "the environment variable DEPLOYMENT_RECEIVER_PROT is no setting; is it DEPLOYMENT_RECEIVER_PORT?;"
        " the environment variable DEPLOYMENT_RECEIVER_ZZZ is no setting"
    ) == caught.value.message


def test_a_sender_warns_of_a_variable_that_is_no_setting(caplog: pytest.LogCaptureFixture) -> None:
    """In the log: a library prints nothing."""
    settings = DeploymentSenderSettings.load(
        {}, {"DEPLOYMENT_SENDER_COMPRESION": SECRET, "DEPLOYMENT_SENDER_CA_FILE": "/ca.pem"}
    )

    assert Path("/ca.pem") == settings.ca_file
    assert [
        "the environment variable DEPLOYMENT_SENDER_COMPRESION is no setting; is it DEPLOYMENT_SENDER_COMPRESSION?"
    ] == [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "name",
    [
        "DEPLOYMENT_RECEIVER_RUN",
        "DEPLOYMENT_RECEIVER_SERVICE_HOST",
        "DEPLOYMENT_RECEIVER_SERVICE_PORT_HTTP",
        "DEPLOYMENT_RECEIVER_PORT_8001_TCP",
        "DEPLOYMENT_RECEIVER_PORT_8001_TCP_ADDR",
        "DEPLOYMENT_SENDER_BASE_IMAGE",
        "DEPLOYMENT_RECEIVERS",
    ],
)
def test_a_variable_of_somebody_else_is_none_of_ours(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Kubernetes puts a service's addresses beside it, under our prefix where the service has our name."""
    for settings in (ReceiverSettings, DeploymentSenderSettings):
        settings.load({}, {name: "1"})

    assert [] == caplog.records


def test_an_empty_variable_counts_as_unset() -> None:
    """Whatever its name."""
    ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_SIGNING_KEY": " "})


def test_a_wrong_setting_names_the_field_and_not_the_value() -> None:
    """A value may be a secret."""
    with pytest.raises(DeploymentSenderError) as caught:
        DeploymentSenderSettings.load({"signing_key": "id:too-short-secret", "compression": "lzma"}, {})

    assert ErrorCode.VALIDATION_ERROR is caught.value.code
    assert "signing_key" in caught.value.message
    assert "compression" in caught.value.message
    assert "too-short-secret" not in str(caught.value)


def test_settings_are_frozen_and_hide_the_key() -> None:
    """Read once, and safe to print."""
    settings = DeploymentSenderSettings.load({"signing_key": f"site-a:{SECRET}"}, {})

    assert SECRET not in repr(settings)
    with pytest.raises(ValidationError):
        settings.environment = "x"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "no-colon", f":{SECRET}", f"bad id:{SECRET}", f"{'i' * 65}:{SECRET}", "id:short"])
def test_a_key_is_an_id_and_at_least_32_bytes(text: str) -> None:
    """RFC 2104: not shorter than the hash's output."""
    with pytest.raises(ValueError, match="signing key"):
        split_signing_key(text)


def test_a_key_splits_at_the_first_colon() -> None:
    """A secret may hold colons."""
    assert ("site-a", f"{SECRET}:x".encode()) == split_signing_key(f"site-a:{SECRET}:x")


def test_a_receiver_takes_several_keys_from_one_variable() -> None:
    """Old and new key together, while they are changed."""
    keys = f"old:{SECRET}, new:{SECRET}"

    settings = ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_SIGNING_KEYS": keys})

    assert [f"old:{SECRET}", f"new:{SECRET}"] == [key.get_secret_value() for key in settings.signing_keys]
    assert 5_000_000_000 == settings.max_package_size_bytes


def test_allowed_receivers_come_as_one_text_or_as_several() -> None:
    """Names in lower case, networks as they are."""
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
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    """A list that never matches would be found out too late."""
    with pytest.raises(DeploymentSenderError, match=r"settings: allowed_receivers\.1: a receiver is allowed by a host"):
        DeploymentSenderSettings.load({"allowed_receivers": ["edge", pattern]}, {})


@pytest.mark.parametrize("url", ["ftp://edge", "http://me:secret@edge", "edge:8001", "http://edge/?a=b"])
def test_a_default_receiver_must_be_what_the_input_must_be(url: str) -> None:
    """And is refused by the setting's name, without its value."""
    with pytest.raises(DeploymentSenderError, match="settings: default_receiver_url: the receiver's URL") as caught:
        DeploymentSenderSettings.load({}, {"DEFAULT_RECEIVER_URL": url})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "field", "needed"),
    [
        (DeploymentSenderSettings, "client_key", "client_cert"),
        (ReceiverSettings, "tls_key", "tls_cert"),
        (ReceiverSettings, "tls_client_ca", "tls_cert"),
    ],
)
def test_what_is_of_no_use_alone_is_refused(
    settings: type[DeploymentSenderSettings | ReceiverSettings], field: str, needed: str
) -> None:
    """Whoever sets a key believes that there is TLS."""
    with pytest.raises(DeploymentSenderError, match=f"settings: {field}: needs {needed} beside it"):
        settings.load({field: "/tmp/x.pem"}, {})

    assert Path("/tmp/x.pem") == getattr(settings.load({needed: "/tmp/y.pem", field: "/tmp/x.pem"}, {}), field)


def test_a_receiver_goes_by_several_names() -> None:
    """As the Host header has them, in lower case."""
    names = "Edge-7.example, 10.1.2.3:8001 [fd12::1]:8001"

    settings = ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_HOST_NAMES": names})

    assert ("edge-7.example", "10.1.2.3:8001", "[fd12::1]:8001") == settings.host_names


@pytest.mark.parametrize("name", ["http://edge", "edge/x", "edge:", "fd12::1", "*.example", "a b@c"])
def test_what_no_host_header_says_is_no_name(name: str) -> None:
    """A receiver that refuses everybody would be no help."""
    with pytest.raises(DeploymentSenderError, match=r"settings: host_names\.0: a host name is NAME or NAME:PORT"):
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
    """Not by each deployment."""
    with pytest.raises(DeploymentSenderError, match=f"settings: {field}: "):
        ReceiverSettings.load({}, {ReceiverSettings.env_name(field): value})
