"""The form's fields and the responses' keys, and that the docs list them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import InvalidInputError
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.package.identity import PackageIdentity
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import PACKAGE_PART, UploadFields, deploy_url
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.responses import ReceiptBody, StateBody, wire_names

DOCS = Path(__file__).parents[3] / "docs" / "receiver-protocol.md"
NEEDED = {
    "package_id": "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10",
    "checksum": "ab" * 32,
    "container_name": "hello",
    "image_tag": "1.0",
}


def documented(section: str) -> dict[str, str]:
    """Return the keys of a section's first table, with the column beside them."""
    text = DOCS.read_text(encoding="utf-8").partition(f"\n## {section}")[2].partition("\n## ")[0]
    table = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    assert table is not None
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table[0].splitlines()[2:]]
    return {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://edge:8001", "http://edge:8001/deploy"),
        ("http://edge:8001/", "http://edge:8001/deploy"),
        ("http://edge:8001/deploy", "http://edge:8001/deploy"),
        ("https://edge/a/", "https://edge/a/deploy"),
    ],
)
def test_deploy_is_added_unless_it_is_there(url: str, found: str) -> None:
    """A receiver's URL may be given either way."""
    assert found == deploy_url(url)


def test_the_form_is_text_without_missing_values() -> None:
    """Booleans are lower-case words, and the order is that of the model."""
    assert [*NEEDED.items(), ("verify_checksum", "true")] == list(UploadFields.read(NEEDED).form().items())


def test_the_form_reads_back() -> None:
    """The receiver reads the fields that were sent, and ignores further ones."""
    fields = UploadFields.read(NEEDED | {"verify_checksum": "false", "compression": "zstd"})

    assert fields == UploadFields.read(fields.form() | {"more": "x"})


def test_the_digest_has_its_own_name_on_the_wire() -> None:
    """`image_id`, as every release has sent it; under its own name it is an unknown field."""
    digest = f"sha256:{'0' * 64}"
    fields = UploadFields.read(NEEDED | {"image_id": digest})

    assert digest == fields.announced_digest
    assert digest == fields.form()["image_id"]
    assert digest == fields.text_values()["announced_digest"]
    assert UploadFields.read(NEEDED | {"announced_digest": digest}).announced_digest is None


def test_the_fields_announce_a_package_and_give_it_back() -> None:
    """All that identifies it; its size is not a field, as the file follows."""
    identity = PackageIdentity(
        package_id=NEEDED["package_id"],
        checksum=NEEDED["checksum"],
        container_name="hello",
        image_tag="1.0",
        size_bytes=7,
        compression="zstd",
        config_digest=f"sha256:{'1' * 64}",
        platform="linux/arm64",
    )
    fields = UploadFields.of(identity, verify_checksum=False, correlation_id="deploy-1")

    assert (False, "deploy-1") == (fields.verify_checksum, fields.correlation_id)
    assert identity == UploadFields.read(fields.form()).identity(7)
    assert replace(identity, size_bytes=None) == fields.identity()


@pytest.mark.parametrize("name", NEEDED)
def test_a_form_without_a_needed_field_is_refused(name: str) -> None:
    """The message names the field."""
    with pytest.raises(InvalidInputError, match=name):
        UploadFields.read({key: value for key, value in NEEDED.items() if key != name})


@pytest.mark.parametrize(
    ("section", "model"),
    [("The upload", UploadFields), ("The receipt", ReceiptBody), ("The state", StateBody)],
)
def test_the_docs_list_every_key_and_which_are_required(section: str, model: type[BaseModel]) -> None:
    """The tables are those of the models."""
    required = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
    listed = documented(section)

    assert set(wire_names(model)) == listed.keys()
    assert required == {name for name, need in listed.items() if need == "required"}


def test_the_documented_curl_command_sends_the_required_fields() -> None:
    """Its fields are the required ones, and the file comes last."""
    command = DOCS.read_text(encoding="utf-8").partition("curl ")[2].partition("```")[0]

    assert [*NEEDED, PACKAGE_PART] == re.findall(r"-F (\w+)=", command)
