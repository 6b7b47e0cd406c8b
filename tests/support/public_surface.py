"""What users may rely on: names, settings, codes, options and the words on the wire, collected from the code."""

import argparse
import inspect
from typing import Any

import typer
from pydantic import BaseModel

from omninode_bridge.nodes.deployment_sender_effect import v1_0_0 as front_door
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.cli import app as cli
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.contract import load_contract
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.errors import ERRORS
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.form import UploadFields
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.info import InfoBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.protocol.responses import ErrorBody, ReceiptBody, StateBody
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver import __main__ as receiver
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.settings import DeploymentSenderSettings, ReceiverSettings

__all__ = ["public_surface"]

Surface = dict[str, list[str]]


def public_surface() -> Surface:
    """Collect it: for each kind of name, all names of it, sorted."""
    found = {
        "front door": list(front_door.__all__),
        "fields": [f"{name}.{field}" for name, model in _models() for field in model.model_fields],
        "node": _signatures(front_door.NodeDeploymentSenderEffect),
        "settings": [
            f"{settings.__name__}.{name} {settings.env_name(name)}"
            for settings in (DeploymentSenderSettings, ReceiverSettings)
            for name in settings.model_fields
        ],
        "errors": [f"{code} retry={row.retry} status={row.http_status}" for code, row in ERRORS.items()],
        "operations": list(load_contract().operations),
        "topics": [f"{event} {topic.name}" for event, topic in load_contract().topics.items()],
        "deployment-sender": _options(typer.main.get_command(cli._app()), "deployment-sender"),
        "deployment-receiver": _arguments(receiver._parser()),
        "wire": [
            f"{body.__name__}.{field.alias or name}"
            for body in (UploadFields, ReceiptBody, StateBody, ErrorBody, InfoBody)
            for name, field in body.model_fields.items()
        ],
    }
    return {kind: sorted(names) for kind, names in found.items()}


def _models() -> list[tuple[str, type[BaseModel]]]:
    named = ((name, getattr(front_door, name)) for name in front_door.__all__)
    return [(name, cls) for name, cls in named if isinstance(cls, type) and issubclass(cls, BaseModel)]


def _signatures(cls: type) -> list[str]:
    return [
        f"{name}({parameter})"
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
        for parameter in inspect.signature(member).parameters
    ]


def _options(command: Any, path: str) -> list[str]:
    found = [f"{path} {name}" for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)]
    for name, child in getattr(command, "commands", {}).items():
        found += [f"{path} {name}", *_options(child, f"{path} {name}")]
    return found


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    found: list[str] = []
    for action in parser._actions:
        found += [f"{parser.prog} {name}" for name in action.option_strings or [action.dest]]
        choices: Any = action.choices if isinstance(action, argparse._SubParsersAction) else {}
        for name, child in choices.items():
            found += [f"{parser.prog} {name}", *_arguments(child)]
    return found
