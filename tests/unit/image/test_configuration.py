"""Configurations that every engine can read."""

from typing import Any

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.configuration import check_configuration
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.image.errors import ArchiveError

_REAL = {
    "architecture": "arm64",
    "variant": "v8",
    "os": "linux",
    "config": {
        "User": "1000",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["PATH=/bin"],
        "Cmd": ["sh"],
        "Entrypoint": None,
        "Volumes": {"/data": {}},
        "Labels": {"a": "b"},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30_000_000_000, "Retries": 3},
        "StopTimeout": 10,
        "ArgsEscaped": True,
        "x": [1.5],
    },
    "container_config": {"Cmd": ["/bin/sh", "-c"], "OnBuild": None},
    "created": "2022-12-26T11:11:00.123456789Z",
    "history": [{"created": "0001-01-01T00:00:00+02:00", "created_by": "ADD file", "empty_layer": True}, {}],
    "os.features": ["win32k"],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:0"]},
    "moby.buildkit.buildinfo.v1": {"x": 1},
}


def test_what_engines_write() -> None:
    """A real configuration with fields that are null, and unknown ones, is accepted."""
    check_configuration(_REAL)
    check_configuration({})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"parent": {}}, "'parent' in the configuration is not a text"),
        ({"PARENT": 7}, "'PARENT' in the configuration is not a text"),
        ({"os": "linux", "OS": "linux"}, "the configuration spells 'OS' in two ways"),
        ({"os": "other"}, "'os' in the configuration is 'other', and engines load images for linux"),
        ({"created": "yesterday"}, "'created' in the configuration is not a time"),
        ({"created": "2022-02-30T00:00:00Z"}, "'created' in the configuration is not a time"),
        ({"created": "2022-12-26T11:11:00"}, "'created' in the configuration is not a time"),
        ({"created": 7}, "'created' in the configuration is not a text"),
        ({"Size": 1 << 63}, "'Size' in the configuration is too large"),
        ({"Size": True}, "'Size' in the configuration is not a whole number"),
        ({"config": []}, "'config' in the configuration is not an object"),
        ({"config": {"Env": [1]}}, "an entry of 'Env' in 'config' in the configuration is not a text"),
        ({"config": {"Cmd": "sh"}}, "'Cmd' in 'config' in the configuration is not a list"),
        ({"config": {"Tty": 1}}, "'Tty' in 'config' in the configuration is not true or false"),
        ({"config": {"Volumes": {"/a": 1}}}, "an entry of 'Volumes' in 'config' in the configuration is not an object"),
        ({"config": {"Labels": {"a": 1}}}, "an entry of 'Labels' in 'config' in the configuration is not a text"),
        ({"history": [7]}, "an entry of 'history' in the configuration is not an object"),
        ({"rootfs": {"type": ["layers"]}}, "'type' in 'rootfs' in the configuration is not a text"),
    ],
)
def test_what_an_engine_cannot_read(change: dict[str, Any], where: str) -> None:
    """A field of another type, in any spelling, is refused, and the message names it."""
    with pytest.raises(ArchiveError) as caught:
        check_configuration(_REAL | change)

    assert where == str(caught.value)


@pytest.mark.parametrize("document", [[], "text", None, 7])
def test_no_object(document: Any) -> None:
    """Anything else is no configuration."""
    with pytest.raises(ArchiveError, match="is not an object"):
        check_configuration(document)
