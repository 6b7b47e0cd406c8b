"""The receiver's routes (docs/receiver-protocol.md)."""

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...errors import ErrorCode, InvalidInputError, OperationError, StorageError
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


def make_app(
    state: ReceiverState, authenticator: RequestAuthenticator, uploads: Uploads, info_page: ReceiverInfoPage
) -> Starlette:
    """Return the application with all routes."""
    routes = _Routes(state, authenticator, uploads, info_page)
    app = Starlette(
        routes=[
            Route(DEPLOY_PATH, uploads.handle, methods=["POST"]),
            Route("/deployments", routes.list, methods=["GET"]),
            Route("/deployments/{deployment_id}", routes.show, methods=["GET"]),
            Route(INFO_PATH, routes.info, methods=["GET"]),
            Route("/healthz", routes.health, methods=["GET"]),
            Route("/metrics", routes.metrics, methods=["GET"]),
        ],
        exception_handlers=dict.fromkeys((OperationError, HTTPException, Exception), _handle_error),
    )
    app.router.redirect_slashes = False
    return app


class _Routes:
    def __init__(
        self, state: ReceiverState, authenticator: RequestAuthenticator, uploads: Uploads, info_page: ReceiverInfoPage
    ) -> None:
        self._run = state.settings.run
        self._deployments = state.deployments
        self._exporter = PrometheusExporter(state.metrics, "deployment_receiver_", self._gauges)
        self._authenticator = authenticator
        self._uploads = uploads
        self._info_page = info_page

    async def show(self, request: Request) -> Response:
        await self._authenticator.authenticate_get(request)
        deployment = self._deployments.get(request.path_params["deployment_id"])
        if deployment is None:
            raise RefusedError(
                404,
                "there is no such deployment",
                code=ErrorCode.VALIDATION_ERROR,
                recovery="GET /deployments lists those that exist.",
            )
        return EarlyResponse(200, deployment.body(run=self._run).model_dump(by_alias=True))

    async def list(self, request: Request) -> Response:
        await self._authenticator.authenticate_get(request)
        found = self._deployments.newest(_limit(request.query_params.get("limit")))
        bodies = [one.body(run=self._run).model_dump(by_alias=True) for one in found]
        return EarlyResponse(200, {"deployments": bodies})

    async def info(self, request: Request) -> Response:
        await self._authenticator.authenticate_get(request)
        return EarlyResponse(200, (await self._info_page.current()).model_dump())

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
        raise InvalidInputError(f"limit must be a number from 1 to {LIST_MAX}")
    return int(text)


async def _handle_error(_: Request, exc: Exception) -> Response:
    if isinstance(exc, StorageError):
        _log.warning("refused a request: %s", exc.message)
    if isinstance(exc, OperationError):
        return error_response(exc)
    if isinstance(exc, HTTPException):
        return error_response(_no_route(exc))
    _log.error("unexpected error", exc_info=exc)
    return error_response(RefusedError(500, "an unexpected error occurred; the receiver's log has the details"))


def _no_route(exc: HTTPException) -> RefusedError:
    return RefusedError(
        exc.status_code,
        f"{exc.detail}: this is a deployment receiver",
        code=ErrorCode.VALIDATION_ERROR,
        recovery="POST packages to /deploy; GET /deployments, /deployments/{id}, /info, /healthz and /metrics.",
        headers=exc.headers,
    )
