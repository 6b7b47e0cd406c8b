"""What is known of a transfer that is broken off."""

from dataclasses import replace

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli.watch import Watch
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models import ModelPackageTransferInput
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.ports import Progress, Receipt

ID = "5f0c2a52-91ab-4c3e-8a53-0d6c1f6f7a10"
URL = "http://edge:8001"
REQUEST = ModelPackageTransferInput(package_id=ID, remote_receiver_url=URL)
RECEIPT = Receipt("d-1", checksum_verified=True, status="received")
TAKEN = Progress("deploy", "the receiver has the package", receipt=RECEIPT)


def watch(*steps: Progress) -> Watch:
    """Watch these steps."""
    watch = Watch()
    for step in steps:
        watch.see(step)
    return watch


def test_what_was_not_sent_whole_does_not_go_on() -> None:
    """The package is kept."""
    known = watch(Progress("upload", done_bytes=3, total_bytes=4))

    assert not known.may_continue
    assert [f"package {ID} was not sent and is kept: deployment-sender transfer {ID} --to {URL}"] == known.lines(
        REQUEST
    )


def test_what_was_sent_without_an_answer_may_go_on() -> None:
    """Also when a later attempt has begun."""
    known = watch(
        Progress("upload", done_bytes=4, total_bytes=4),
        Progress("retry", "it broke"),
        Progress("upload", total_bytes=4),
    )

    assert known.may_continue
    assert [
        f"package {ID} was sent, but the receiver had not answered: it may have it and go on",
        f"to look: deployment-sender status --to {URL}",
        f"to wait again: deployment-sender transfer {ID} --to {URL}",
    ] == known.lines(REQUEST)


def test_what_the_receiver_has_goes_on() -> None:
    """With its id there and what was heard last."""
    loading = Progress("deploy", "the receiver is loading the image", receipt=replace(RECEIPT, status="loading"))
    known = watch(TAKEN, loading, Progress("retry", "it does not answer", receipt=RECEIPT))

    assert known.may_continue
    assert [
        f"package {ID} is sent and verified; the receiver goes on with deployment d-1",
        "last known: the receiver is loading the image",
        f"to look: deployment-sender status d-1 --to {URL}",
        f"to wait again: deployment-sender transfer {ID} --to {URL}",
    ] == known.lines(REQUEST)


def test_programs_are_told_the_same() -> None:
    """As fields."""
    assert {
        "success": False,
        "interrupted": True,
        "package_id": ID,
        "remote_deployment_id": "d-1",
        "deployment_status": "received",
        "checksum_verified": True,
        "deployment_continues": True,
    } == watch(TAKEN).document(REQUEST)
