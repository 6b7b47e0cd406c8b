"""`deployment-sender status`."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ...protocol.responses import StateBody, wire_names
from ..console import facts, table
from ..options import ReceiverUrl
from ..receiver_queries import check_url, get_json
from ..session import Session

__all__ = ["status"]

DeploymentId = Annotated[
    str | None,
    typer.Argument(
        metavar="DEPLOYMENT_ID",
        show_default=False,
        help="As `ship` and `transfer` print it; the latest if not given.",
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many of the latest at most.")]

_FIRST_FIELDS = ("deployment_id", "container_name", "image_tag", "status", "error_code", "error_message")


async def status(
    session: Session, deployment_id: DeploymentId = None, to: ReceiverUrl = None, limit: Limit = 20
) -> bool:
    """Show the deployments of a receiver.

    The request is signed if a key is set, and changes nothing.
    """
    settings, url = session.settings(), check_url(session.receiver_url(to))
    if deployment_id is not None:
        one = await get_json(settings, url, f"/deployments/{quote(deployment_id, safe='')}")
        session.console.result(one, _facts(one))
        return True
    found = await get_json(settings, url, f"/deployments?limit={limit}")
    deployments = [one for one in found.get("deployments", []) if isinstance(one, dict)]
    session.console.result(found, _lines(deployments) if deployments else [f"no deployments at {url}"])
    return True


def _facts(one: Mapping[str, Any]) -> list[str]:
    known = [name for name in (*_FIRST_FIELDS, *wire_names(StateBody)) if one.get(name) is not None]
    rows: list[tuple[str, str]] = []
    for name in dict.fromkeys(known):
        first, *more = _shown(one[name]).split("\n")
        rows += [(name.replace("_", " "), first), *(("", line) for line in more)]
    return facts(rows)


def _shown(value: object) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _lines(deployments: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            str(one.get("deployment_id")),
            f"{one.get('container_name')}:{one.get('image_tag')}",
            str(one.get("status")),
            str(one.get("received_at") or "")[:19].replace("T", " "),
            str(one.get("error_message") or "").partition("\n")[0],
        )
        for one in deployments
    ]
    return table(("DEPLOYMENT", "IMAGE", "STATUS", "RECEIVED (UTC)", ""), rows)
