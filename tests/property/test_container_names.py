"""Containers are named after their images: for any image names."""

import re

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import ContainerName
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.deployments.container_names import (
    container_name,
    next_name,
)

_DOCKER_TAKES = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")  # github.com/moby/moby, daemon/names/names.go
_VALID = TypeAdapter(ContainerName)
_PART = st.from_regex(r"[a-z0-9]{1,4}(?:(?:\.|_|__|-{1,2})[a-z0-9]{1,3}){0,2}", fullmatch=True)
_HOST = st.from_regex(r"(?:[A-Za-z0-9]{1,3}(?:\.[A-Za-z0-9]{1,3})?|\[[0-9a-f:]{2,5}\])(?::[0-9]{1,4})?", fullmatch=True)


def _is_valid(name: str) -> bool:
    try:
        _VALID.validate_python(name)
    except ValidationError:
        return False
    return True


_NAMES = st.builds(
    lambda host, parts: "/".join([*([host] if host else []), *parts]),
    st.none() | _HOST,
    st.lists(_PART | st.sampled_from(["x", "x.next", "x.old", "a-b"]), min_size=1, max_size=3),
).filter(_is_valid)


def _image_name(container: str) -> str:
    """Undo `container_name`: what can be undone gives no two images one name."""
    if len(container) == 2 and container.endswith("X"):
        return container[0]
    return re.sub("X([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), container)


@given(_NAMES)
def test_each_image_has_a_container_name_of_its_own(name: str) -> None:
    """Which Docker takes, which tells the image, and which none has that is only being started."""
    container = container_name(name)

    assert _DOCKER_TAKES.fullmatch(container)
    assert name == _image_name(container)
    assert "N" not in container
    assert next_name(container) == f"{container}.Next"
