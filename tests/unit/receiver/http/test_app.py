"""The routes other than the upload."""

import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.signature import SignedRequest, new_nonce, sign
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.http.app import make_app
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import ReceiverSettings
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.catalogue import RECEIVER
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.metrics import Metrics
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.telemetry.prometheus import read_samples
from support.archives.archives import image_archive
from support.receiver.in_process import Running, Start

_SECRET = "s" * 32


async def test_health_needs_no_signature(start: Start) -> None:
    """Also where every other request must be signed."""
    async with start(signing_keys=[f"k1:{_SECRET}"]) as receiver:
        response = await receiver.client.get("/healthz")
    assert (200, {"status": "ok"}) == (response.status_code, response.json())


async def test_metrics_need_no_signature_and_name_no_image(start: Start, package: bytes) -> None:
    """They are in Prometheus' text format."""
    async with start() as receiver:
        await receiver.finished((await receiver.upload(package)).json()["deployment_id"])
        response = await receiver.client.get("/metrics")
    assert "text/plain; version=0.0.4; charset=utf-8" == response.headers["Content-Type"]
    samples = read_samples(response.text)
    assert {
        "uploads_stored_total": 1,
        'uploads_total{outcome="stored"}': 1,
        "upload_bytes_total": len(package),
        "upload_size_bytes_sum": len(package),
        "upload_duration_seconds_count": 1,
        "load_duration_seconds_count": 1,
        'deployments{status="loaded"}': 1,
        "uploads_active": 0,
    }.items() <= {name.removeprefix("deployment_receiver_"): value for name, value in samples.items()}.items()
    assert "hello" not in response.text


async def test_deployments_are_listed_newest_first(start: Start) -> None:
    """Up to the number that the request asks for."""
    async with start() as receiver:
        for tag in ("1", "2", "3"):
            await receiver.upload(image_archive(reference=f"hello:{tag}"), image_tag=tag)
        assert ["3", "2"] == await tags(receiver, "/deployments?limit=2")
        assert ["3", "2", "1"] == await tags(receiver, "/deployments")


async def tags(receiver: Running, target: str) -> list[str]:
    """Return the tags of the listed deployments."""
    found: list[dict[str, Any]] = (await receiver.client.get(target)).json()["deployments"]
    return [one["image_tag"] for one in found]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "²", "9" * 5000])
async def test_a_wrong_limit_is_refused(start: Start, limit: str) -> None:
    """With 400 and the range of the limit."""
    async with start() as receiver:
        response = await receiver.client.get("/deployments", params={"limit": limit})
    assert (400, "limit must be a number from 1 to 1000") == (response.status_code, response.json()["error_message"])


async def test_an_unknown_deployment_is_404(start: Start) -> None:
    """With an error body of our own."""
    async with start() as receiver:
        response = await receiver.client.get(f"/deployments/{uuid4()}")
    assert (404, "there is no such deployment") == (response.status_code, response.json()["error_message"])


@pytest.mark.parametrize(
    ("method", "target", "status"), [("GET", "/", 404), ("GET", "/deploy", 405), ("POST", "/deploy/", 404)]
)
async def test_an_unknown_route_is_refused_with_the_known_ones(
    start: Start, method: str, target: str, status: int
) -> None:
    """With an error body of our own, and no redirect."""
    async with start() as receiver:
        response = await receiver.client.request(method, target)
    assert response.status_code == status
    assert "VALIDATION_ERROR" == response.json()["error_code"]
    assert "this is a deployment receiver" in response.json()["error_message"]


@pytest.mark.parametrize("target", ["/deployments", "/deployments/x"])
async def test_deployments_are_shown_to_signed_requests_only(start: Start, target: str) -> None:
    """Where the receiver has keys."""
    async with start(signing_keys=[f"k1:{_SECRET}"]) as receiver:
        assert 401 == (await receiver.client.get(target)).status_code
        request = SignedRequest.for_get(httpx.URL(receiver.url).netloc.decode(), target)
        header = sign("k1", _SECRET.encode(), request, now=int(time.time()), nonce=new_nonce())
        response = await receiver.client.get(target, headers={"Authorization": header})
    assert response.status_code in {200, 404}


async def test_an_unexpected_error_is_reported_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The reason is in the log."""

    class Broken:
        metrics = Metrics(RECEIVER)
        settings = ReceiverSettings.load(environ={})

        @property
        def deployments(self) -> Any:
            class No:
                def count(self) -> None:
                    raise RuntimeError("inner")

            return No()

    class Idle:
        active = 0
        handle = None

    app = make_app(Broken(), None, Idle(), None)  # type: ignore[arg-type]  # none of them is real
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        response = await client.get("/metrics")
    assert 500 == response.status_code
    assert "inner" not in response.text
    assert "inner" in caplog.text
