"""The facts of an interrupted transfer."""

from dataclasses import replace

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.watch import Watch
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelPackageTransferInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Progress, Receipt

ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"
URL = "http://edge:8001"
REQUEST = ModelPackageTransferInput(package_id=ID, remote_receiver_url=URL)
RECEIPT = Receipt("d-1", checksum_verified=True, status="received")
ACCEPTED = Progress("deploy", "the receiver has the package", receipt=RECEIPT)


def watch(*steps: Progress) -> Watch:
    """Return a watch that has recorded these steps."""
    watch = Watch()
    for step in steps:
        watch.record(step)
    return watch


def test_a_package_that_was_not_sent_whole_does_not_continue() -> None:
    """The package is kept."""
    known = watch(Progress("upload", done_bytes=3, total_bytes=4))

    assert not known.may_continue
    assert [f"package {ID} was not sent and is kept: deployment-sender transfer {ID} --to {URL}"] == known.lines(
        REQUEST
    )


def test_a_package_that_was_sent_without_a_response_may_continue() -> None:
    """A later attempt changes nothing."""
    known = watch(
        Progress("upload", done_bytes=4, total_bytes=4),
        Progress("retry", "it broke"),
        Progress("upload", total_bytes=4),
    )

    assert known.may_continue
    assert [
        f"package {ID} was sent, but the receiver had not responded: it may have it and continue",
        f"to check: deployment-sender status --to {URL}",
        f"to continue waiting: deployment-sender transfer {ID} --to {URL}",
    ] == known.lines(REQUEST)


def test_a_package_that_the_receiver_has_continues() -> None:
    """The lines have the id there and the last status."""
    loading = Progress("deploy", "the receiver is loading the image", receipt=replace(RECEIPT, status="loading"))
    known = watch(ACCEPTED, loading, Progress("retry", "it does not respond", receipt=RECEIPT))

    assert known.may_continue
    assert [
        f"package {ID} is sent and verified; the receiver continues with deployment d-1",
        "last known: the receiver is loading the image",
        f"to check: deployment-sender status d-1 --to {URL}",
        f"to continue waiting: deployment-sender transfer {ID} --to {URL}",
    ] == known.lines(REQUEST)


def test_the_document_has_the_same_facts() -> None:
    """Programs get them as fields."""
    assert {
        "success": False,
        "interrupted": True,
        "package_id": ID,
        "remote_deployment_id": "d-1",
        "deployment_status": "received",
        "checksum_verified": True,
        "deployment_continues": True,
    } == watch(ACCEPTED).document(REQUEST)
