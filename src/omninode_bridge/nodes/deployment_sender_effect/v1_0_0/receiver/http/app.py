"""The receiver's routes (docs/receiver-protocol.md)."""

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import DeploymentSenderError, ErrorCode
from ...protocol.form import DEPLOY_PATH
from ...protocol.info import INFO_PATH
from ...telemetry.prometheus import CONTENT_TYPE, Gauge, PrometheusExporter
from ..limits import LIST_DEFAULT, LIST_MAX
from ..state import ReceiverState
from .auth import RequestAuthenticator
from .errors import RefusedError
from .info import ReceiverInfoPage
from .responses import EarlyResponse, error_response
from .upload import Uploads

__all__ = ["make_app"]

_log = logging.getLogger(__name__)


def make_app(shared: ReceiverState, gate: RequestAuthenticator, uploads: Uploads, about: ReceiverInfoPage) -> Starlette:
    """Put the routes together."""
    routes = _Routes(shared, gate, uploads, about)
    app = Starlette(
        routes=[
            Route(DEPLOY_PATH, routes.deploy, methods=["POST"]),
            Route("/deployments", routes.list, methods=["GET"]),
            Route("/deployments/{deployment_id}", routes.show, methods=["GET"]),
            Route(INFO_PATH, routes.info, methods=["GET"]),
            Route("/healthz", routes.health, methods=["GET"]),
            Route("/metrics", routes.metrics, methods=["GET"]),
        ],
        exception_handlers={DeploymentSenderError: _told, HTTPException: _no_such_thing, Exception: _unexpected},
    )
    app.router.redirect_slashes = False
    return app


class _Routes:
    def __init__(
        self, shared: ReceiverState, gate: RequestAuthenticator, uploads: Uploads, about: ReceiverInfoPage
    ) -> None:
        self._run = shared.settings.run
        self._deployments = shared.deployments
        self._exporter = PrometheusExporter(shared.metrics, "deployment_receiver_", self._gauges)
        self._gate = gate
        self._uploads = uploads
        self._about = about

    async def deploy(self, request: Request) -> Response:
        return await self._uploads.answer(request)

    async def show(self, request: Request) -> Response:
        await self._gate.admit_get(request)
        deployment = self._deployments.get(request.path_params["deployment_id"])
        if deployment is None:
            raise RefusedError(
                404,
                "there is no such deployment",
                code=ErrorCode.VALIDATION_ERROR,
                recovery="Ask GET /deployments for those that there are.",
            )
        return EarlyResponse(200, deployment.body(run=self._run).model_dump())

    async def list(self, request: Request) -> Response:
        await self._gate.admit_get(request)
        found = self._deployments.newest(_limit(request.query_params.get("limit")))
        return EarlyResponse(200, {"deployments": [one.body(run=self._run).model_dump() for one in found]})

    async def info(self, request: Request) -> Response:
        await self._gate.admit_get(request)
        return EarlyResponse(200, (await self._about.now()).model_dump())

    async def health(self, _: Request) -> Response:
        return EarlyResponse(200, {"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        return Response(self._exporter.text(), headers={"Content-Type": CONTENT_TYPE})

    def _gauges(self) -> tuple[Gauge, ...]:
        return (
            Gauge("uploads_active", "Uploads arriving now.", {"": self._uploads.active}),
            Gauge("deployments", "Deployments by status.", self._deployments.count(), label="status"),
        )


def _limit(text: str | None) -> int:
    if text is None:
        return LIST_DEFAULT
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= LIST_MAX:
        raise DeploymentSenderError(ErrorCode.VALIDATION_ERROR, f"limit is a number from 1 to {LIST_MAX}")
    return int(text)


async def _told(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, DeploymentSenderError)  # noqa: S101 - registered for nothing else
    if exc.code is ErrorCode.BUILD_FAILED:
        _log.warning("a request was refused: %s", exc.message)
    return error_response(exc)


async def _no_such_thing(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for nothing else
    return error_response(
        RefusedError(
            exc.status_code,
            f"{exc.detail}: this is a deployment receiver",
            code=ErrorCode.VALIDATION_ERROR,
            recovery="POST packages to /deploy; GET /deployments, /deployments/{id}, /info, /healthz and /metrics.",
            headers=exc.headers,
        )
    )


async def _unexpected(_: Request, exc: Exception) -> Response:
    _log.error("unexpected", exc_info=exc)
    return error_response(RefusedError(500, "something unexpected happened; the receiver's log tells more"))
