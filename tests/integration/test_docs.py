"""The code blocks of README and docs run in their order, with a real engine, in a folder of their own."""

import re
import shutil
from pathlib import Path

import pytest

from support.docs.pages import Page
from support.engine.engines import RealEngine
from support.process.ports import free_port

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")] if "\n```" in page.read_text())
# What cannot run here, one line for each; everything else does.
SKIPPED = {"README.md": ["./dev test is what runs this page"]}
_RUN = {"python", "sh", "console"}
_DATA = {"", "json", "nginx"}


def _lay_out(folder: Path, base_image: str) -> None:
    """Make what the pages name: build contexts, of which `...` is a package folder, too."""
    context = folder / "..." / "deployment"
    context.mkdir(parents=True)
    (context / "Dockerfile.orchestrator").write_text(f'FROM {base_image}\nCMD ["sleep", "60"]\n')
    for name in ("examples/hello", "my-service"):
        shutil.copytree(ROOT / "examples" / "hello", folder / name)
        dockerfile = folder / name / "Dockerfile"
        dockerfile.write_text(dockerfile.read_text().replace("busybox:latest", base_image))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_runs_from_its_first_block_to_its_last(
    path: Path, tmp_path: Path, real_engine: RealEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block finds what those before it have left; one that cannot run gives its reason in the page."""
    _lay_out(tmp_path, real_engine.base_image)
    monkeypatch.chdir(tmp_path)
    name = real_engine.new_container()
    for tag in ("1.0", "1.0.0"):
        real_engine.remove_later(f"{name}:{tag}")
    port = free_port()
    replacements = {
        r"(?<![/\w-])(hello|my-service|omninode-bridge-orchestrator)(?=[\s:\"])": name,
        r"\b8001\b": str(port),
        r"//edge:": "//127.0.0.1:",
        r"0\.0\.0\.0": "127.0.0.1",
        r"/var/lib/": f"{tmp_path}/",
        r"ID:SECRET": f"main:{'s' * 32}",
    }
    environ = {
        "DOCKER_HOST": real_engine.docker_host or "",
        "DEPLOYMENT_SENDER_BASE_IMAGE": real_engine.base_image,
        "BASE_IMAGE": real_engine.base_image,
        "DEPLOYMENT_RECEIVER_PORT": str(port),
        "DEPLOYMENT_RECEIVER_START_WATCH_SECONDS": "0.5",
    }
    with Page(path, tmp_path, replacements, environ) as page:
        page.run()

    assert SKIPPED.get(path.name, []) == page.skipped


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_is_of_a_known_language(path: Path) -> None:
    """So that no block is left out because its language is written otherwise; text and data have their own."""
    languages = re.findall(r"^```(.*)\n(?:.*\n)*?```$", path.read_text(), re.MULTILINE)

    assert set() == set(languages) - _RUN - _DATA


@pytest.mark.parametrize(
    "block", ["python\n1 / 0", "sh\nfalse\ntrue", "console\n$ echo one\ntwo", "console\n$ echo 1; echo 2\n2\n1"]
)
def test_a_block_that_fails_fails_its_page(block: str, tmp_path: Path) -> None:
    """An exception, an exit code other than 0, a line that is not printed or comes in another order."""
    path = tmp_path / "page.md"
    path.write_text(f"```{block}\n```\n")

    with pytest.raises((ZeroDivisionError, AssertionError)), Page(path, tmp_path, {}, {}) as page:
        page.run()
