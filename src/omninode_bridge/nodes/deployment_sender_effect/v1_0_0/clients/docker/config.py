"""The configuration of the `docker` command: the parts of its `config.json` that a build needs.

The file is read as docker's own client reads it (github.com/docker/cli, cli/config): missing, null, empty and unknown
fields are ignored, and a file that cannot be read causes a warning only.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["DockerConfig", "read_config"]

# 4 MiB: real files have some KB; a larger one is cut and then reported as no JSON.
_MAX_BYTES = 4 << 20
# cli/config/configfile/file.go, ParseProxyConfig.
_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The parts of a `config.json`.

    Attributes:
        auths: Entries by registry, as they stand there; secrets.
        helpers: Names of credential helpers by registry.
        store: Name of the credential helper for every other registry.
        proxies: By engine, and `default`; may hold passwords.
        http_headers: Sent to the engine with each request; may hold secrets.
        problem: Why the file could not be read; None if it could.
    """

    auths: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str | None = None
    proxies: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    http_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    problem: str | None = None

    def proxies_for(self, docker_host: str | None) -> Mapping[str, str]:
        """Return the proxies for an engine, by the names that the file gives them."""
        return self.proxies.get(docker_host or "", self.proxies.get("default", {}))

    def proxy_args(self, docker_host: str | None) -> dict[str, str]:
        """Return the proxies for an engine as build arguments, with names in upper and in lower case."""
        proxies = self.proxies_for(docker_host)
        found = {variable: proxies[name] for name, variable in _PROXIES.items() if proxies.get(name)}
        return {variable.lower(): value for variable, value in found.items()} | found


def read_config(folder: Path | None) -> DockerConfig:
    """Read `config.json` in a folder; return an empty configuration if there is none.

    Args:
        folder: None where there is no such folder.
    """
    path = None if folder is None else folder / "config.json"
    try:
        if path is None or not path.is_file():
            return DockerConfig()
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
    except OSError as exc:
        return DockerConfig(problem=f"{path} cannot be read: {exc.strerror}")
    except (ValueError, RecursionError):
        return DockerConfig(problem=f"{path} is not JSON")
    if not isinstance(content, dict):
        return DockerConfig(problem=f"{path} is not a JSON object")
    store = content.get("credsStore")
    return DockerConfig(
        auths=_objects(content.get("auths")),
        helpers=_strings(content.get("credHelpers")),
        store=store if isinstance(store, str) and store else None,
        proxies=_objects(content.get("proxies")),
        http_headers=_strings(content.get("HttpHeaders")),
    )


def _objects(value: Any) -> dict[str, dict[str, str]]:
    return {name: _strings(entry) for name, entry in value.items()} if isinstance(value, dict) else {}


def _strings(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}
