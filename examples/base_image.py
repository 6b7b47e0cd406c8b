"""Print the name of an image with a shell for the examples to build on, after getting one into the engine.

That is `busybox:latest` if the engine has it or can pull it, else one made of Debian's `busybox-static`.
"""
# ruff: noqa: INP001  (a program beside the examples, not part of a package)

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound

PULLED = "busybox:latest"
IMPORTED = "deployment-sender-base:latest"
REGISTRY_TIMEOUT_SECONDS = 5  # an engine without a network may try for half a minute
PULL_SILENCE_SECONDS = 30
DOWNLOADS = Path(__file__).resolve().parent.parent / ".cache" / "busybox"


def main() -> int:
    """Print the image's name, or one sentence on standard error.

    Returns:
        The exit code.
    """
    try:
        name = _present() or _pulled() or _imported()
    except (DockerException, OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        sys.stderr.write(
            f"{reason.strip()}\nthere is no base image: pull {PULLED} into the engine, "
            "or set DEPLOYMENT_SENDER_BASE_IMAGE to an image with a shell\n"
        )
        return 1
    sys.stdout.write(f"{name}\n")
    return 0


def _engine(timeout: int = 60) -> docker.DockerClient:
    return docker.from_env(timeout=timeout)


def _present() -> str | None:
    for name in (PULLED, IMPORTED):
        try:
            _engine().images.get(name)
        except ImageNotFound:
            continue
        return name
    return None


def _pulled() -> str | None:
    try:
        _engine(REGISTRY_TIMEOUT_SECONDS).images.get_registry_data(PULLED)
        _engine(PULL_SILENCE_SECONDS).images.pull(PULLED)
        _engine().images.get(PULLED)
    except (APIError, OSError):  # the HTTP client's errors and time-outs are OSErrors
        return None
    return PULLED


def _imported() -> str:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    busybox = _static_busybox(Path("/")) or _static_busybox(DOWNLOADS) or _downloaded_busybox()
    repository, tag = IMPORTED.split(":")
    _engine().api.import_image_from_data(
        _root_filesystem(busybox), repository, tag, changes=["ENV PATH=/bin", 'CMD ["sh"]']
    )
    _engine().images.get(IMPORTED)
    return IMPORTED


def _static_busybox(root: Path) -> Path | None:
    for path in (root / "bin/busybox", root / "usr/bin/busybox"):
        # A dynamic program names its loader (/lib64/ld-linux..., /lib/ld-musl...) in its first kilobyte.
        if path.is_file() and b"/ld-" not in path.read_bytes()[:1024]:
            return path
    return None


def _downloaded_busybox() -> Path:
    """Unpack Debian's package here: installing it would remove Debian's other busybox."""
    sys.stderr.write("dev: downloading busybox-static ...\n")
    if os.getuid() == 0:
        _run("apt-get", "-qq", "update")
    _run("apt-get", "-qq", "download", "busybox-static")
    for package in DOWNLOADS.glob("busybox-static_*.deb"):
        _run("dpkg-deb", "-x", package.name, ".")
    busybox = _static_busybox(DOWNLOADS)
    if busybox is None:
        raise FileNotFoundError(f"no static busybox in {DOWNLOADS}")
    return busybox


def _root_filesystem(busybox: Path) -> bytes:
    """Make a tar of /bin with a link for each applet, /etc/passwd and /tmp."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, "bin/busybox", busybox.read_bytes(), mode=0o755)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        for applet in _run(str(busybox), "--list").split():
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            if applet != "busybox":
                tar.addfile(link)
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(tmp)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _run(*command: str) -> str:
    # The commands are literals of this file, and apt-get is where the system has it.
    return subprocess.run(command, cwd=DOWNLOADS, check=True, capture_output=True, text=True).stdout  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
