"""Image references as engines write them, brought to one form.

The rules are those of distribution/reference (github.com/distribution/reference, normalize.go, `splitDockerDomain`).
"""

__all__ = ["normalized"]


def normalized(reference: str) -> str:
    """Spell a `name[:tag]` in full: `hello` and `docker.io/hello` become `docker.io/library/hello:latest`."""
    head, slash, tail = reference.partition("/")
    is_domain = bool(slash) and (any(c in head for c in ".:") or head == "localhost" or head != head.lower())
    domain, path = (head, tail) if is_domain else ("docker.io", reference)
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    if ":" not in path.rpartition("/")[2]:
        path = f"{path}:latest"
    return f"{domain}/{path}"
