"""Settings are read from a container and the environment, and checked."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import DeploymentSenderError, InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import (
    DeploymentSenderSettings,
    ReceiverSettings,
    split_signing_key,
)

SECRET = "s" * 32


def test_container_values_take_precedence_over_the_environment() -> None:
    """The order is container, environment, default."""
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
    """Names that other programs share have no prefix, all others have ours."""
    assert name == DeploymentSenderSettings.env_name(field)


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, os.environ is the environment; units are in the names."""
    monkeypatch.setenv("DEPLOYMENT_SENDER_MAX_PACKAGE_SIZE_GB", "0.5")

    assert 500_000_000 == DeploymentSenderSettings.load().max_package_size_bytes


def test_none_and_unknown_keys_of_a_container_are_ignored() -> None:
    """An orchestrator's container may have values of other nodes, too."""
    settings = DeploymentSenderSettings.load({"compression": None, "consul_host": "x"}, {"DOCKER_HOST": " "})

    assert ("gzip", None) == (settings.compression, settings.docker_host)


def test_a_relative_folder_becomes_absolute_and_home_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of directory must not move the store."""
    monkeypatch.setenv("HOME", "/home/someone")

    assert Path("/home/someone/x") == DeploymentSenderSettings.load({"package_dir": "~/x"}, {}).package_dir
    assert DeploymentSenderSettings.load({"package_dir": "x"}, {}).package_folder.is_absolute()


def test_a_default_folder_is_resolved_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the home directory of that time."""
    sender, receiver = DeploymentSenderSettings.load({}, {}), ReceiverSettings.load({}, {})
    monkeypatch.setenv("HOME", "/home/someone")

    assert Path("/home/someone/.local/share/deployment-sender") == sender.package_folder
    assert Path("/home/someone/.local/share/deployment-receiver") == receiver.store_folder


def test_an_empty_home_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty HOME would otherwise mean the root folder."""
    monkeypatch.setenv("HOME", "")
    settings = DeploymentSenderSettings.load({}, {})

    with pytest.raises(InvalidInputError, match="package_dir is not set, and its default ~") as caught:
        _ = settings.package_folder

    assert "--package-dir" in caught.value.recovery


@pytest.mark.parametrize("path", ["~/x.pem", "~nobody-of-this-name/x.pem"])
def test_a_path_in_a_missing_home_is_refused(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """The error names the setting."""
    monkeypatch.setenv("HOME", "")

    with pytest.raises(DeploymentSenderError, match="settings: ca_file: is in a home directory, but this user"):
        DeploymentSenderSettings.load({"ca_file": path}, {})


def test_a_relative_path_needs_a_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is refused if the current folder was removed."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    with pytest.raises(DeploymentSenderError, match="settings: ca_file: is relative to the current folder, which was"):
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
def test_a_receiver_refuses_an_unknown_variable(name: str, meant: str) -> None:
    """The error names the most similar setting, and never the value, which may be a key."""
    with pytest.raises(InvalidInputError) as caught:
        ReceiverSettings.load({}, {name: SECRET})

    assert f"the environment variable {name} is not a setting; did you mean {meant}?" == caught.value.message


def test_every_wrong_variable_is_named_at_once() -> None:
    """The error also names a variable without a similar setting."""
    with pytest.raises(InvalidInputError) as caught:
        ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_ZZZ": "1", "DEPLOYMENT_RECEIVER_PROT": "1"})

    assert (
        "the environment variable DEPLOYMENT_RECEIVER_PROT is not a setting; did you mean DEPLOYMENT_RECEIVER_PORT?;"
        " the environment variable DEPLOYMENT_RECEIVER_ZZZ is not a setting"
    ) == caught.value.message


def test_a_sender_warns_of_an_unknown_variable(caplog: pytest.LogCaptureFixture) -> None:
    """The warning is in the log: a library prints nothing."""
    settings = DeploymentSenderSettings.load(
        {}, {"DEPLOYMENT_SENDER_COMPRESION": SECRET, "DEPLOYMENT_SENDER_CA_FILE": "/ca.pem"}
    )

    assert Path("/ca.pem") == settings.ca_file
    expected = (
        "the environment variable DEPLOYMENT_SENDER_COMPRESION is not a setting;"
        " did you mean DEPLOYMENT_SENDER_COMPRESSION?"
    )
    assert [expected] == [record.getMessage() for record in caplog.records]


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
def test_variables_of_other_programs_are_ignored(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Kubernetes sets variables with our prefix for a service with our name."""
    for settings in (ReceiverSettings, DeploymentSenderSettings):
        settings.load({}, {name: "1"})

    assert [] == caplog.records


def test_an_empty_variable_counts_as_unset() -> None:
    """This holds for an unknown name, too."""
    ReceiverSettings.load({}, {"DEPLOYMENT_RECEIVER_SIGNING_KEY": " "})


def test_a_wrong_setting_names_the_field_and_not_the_value() -> None:
    """A value may be a secret."""
    with pytest.raises(DeploymentSenderError) as caught:
        DeploymentSenderSettings.load({"signing_key": "id:too-short-secret", "compression": "lzma"}, {})

    assert "signing_key" in caught.value.message
    assert "compression" in caught.value.message
    assert "too-short-secret" not in str(caught.value)


def test_settings_are_frozen_and_hide_the_key() -> None:
    """Settings are read once, and their text has no secret."""
    settings = DeploymentSenderSettings.load({"signing_key": f"site-a:{SECRET}"}, {})

    assert SECRET not in repr(settings)
    with pytest.raises(ValidationError):
        settings.environment = "x"  # type: ignore[misc]


@pytest.mark.parametrize("text", ["", "no-colon", f":{SECRET}", f"bad id:{SECRET}", f"{'i' * 65}:{SECRET}", "id:short"])
def test_a_key_is_an_id_and_at_least_32_bytes(text: str) -> None:
    """RFC 2104 requires a key that is not shorter than the hash's output."""
    with pytest.raises(ValueError, match="signing key"):
        split_signing_key(text)


def test_a_key_splits_at_the_first_colon() -> None:
    """A secret may hold colons."""
    assert ("site-a", f"{SECRET}:x".encode()) == split_signing_key(f"site-a:{SECRET}:x")


@pytest.mark.parametrize(
    ("settings", "field", "needed"),
    [
        (DeploymentSenderSettings, "client_key", "client_cert"),
        (ReceiverSettings, "tls_key", "tls_cert"),
        (ReceiverSettings, "tls_client_ca", "tls_cert"),
    ],
)
def test_a_setting_that_needs_another_one_is_refused_alone(
    settings: type[DeploymentSenderSettings | ReceiverSettings], field: str, needed: str
) -> None:
    """A user who sets only a key would believe that TLS is on."""
    with pytest.raises((InvalidInputError, DeploymentSenderError), match=f"settings: {field}: needs {needed} as well"):
        settings.load({field: "/tmp/x.pem"}, {})

    assert Path("/tmp/x.pem") == getattr(settings.load({needed: "/tmp/y.pem", field: "/tmp/x.pem"}, {}), field)
