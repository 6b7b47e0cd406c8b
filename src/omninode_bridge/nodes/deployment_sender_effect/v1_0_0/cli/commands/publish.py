"""`deployment-sender publish`."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ...errors import InvalidInputError
from ...models import EventType, ModelKafkaPublishInput, ModelKafkaPublishOutput
from ..console import facts
from ..options import CorrelationId
from ..reports import event_place, report
from ..session import Session

__all__ = ["EventOptions", "publish"]

EventTypeArgument = Annotated[
    str, typer.Argument(metavar="EVENT_TYPE", show_default=False, help=f"One of {', '.join(EventType)}.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventOptions:
    """The contents of an event."""

    package_id: Annotated[str | None, typer.Option(metavar="ID", help="The package that the event is about.")] = None
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the image.")] = None
    tag: Annotated[str | None, typer.Option(metavar="TAG", help="Tag of the image.")] = None
    payload: Annotated[str, typer.Option(metavar="JSON", help="More about the event, a JSON object.")] = "{}"
    correlation_id: CorrelationId = None

    def request(self, event_type: str) -> ModelKafkaPublishInput:
        """Make the operation's input from the options.

        Raises:
            InvalidInputError: An option is wrong.
        """
        return ModelKafkaPublishInput.read(
            {
                "event_type": event_type,
                "event_payload": _object(self.payload),
                "package_id": self.package_id,
                "container_name": self.name,
                "image_tag": self.tag,
                "correlation_id": self.correlation_id,
            }
        )


async def publish(session: Session, event_type: EventTypeArgument, options: EventOptions) -> bool:
    """Record an event and publish it.

    Earlier events in the outbox are published first. Without a broker all of them stay there.
    """
    request = options.request(event_type)
    async with session.node() as node:
        output = await node.publish_transfer_event(request)
    return report(session.console, output, _lines)


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as exc:
        raise InvalidInputError(f"--payload is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise InvalidInputError("--payload is not a JSON object, such as '{\"key\": 1}'")
    return value


def _lines(event: ModelKafkaPublishOutput) -> list[str]:
    return facts([("event", str(event.event_id)), ("topic", str(event.topic)), ("status", event_place(event))])
