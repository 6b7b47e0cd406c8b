"""The benchmark runs, and finds what is incorrect; how long something takes decides nothing here."""

import asyncio
import io
import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from blake3 import blake3

from bench import images
from bench.__main__ import main
from bench.programs import BenchError, piped, run
from bench.report import Figure, Table
from bench.rows import ROWS
from bench.rows.package import _content
from bench.session import Package, Session
from bench.ticks import ticking

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> "subprocess.Popen[str]":
    """Start the benchmark as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_by(process: "subprocess.Popen[str]") -> list[Path]:
    """The folders that a run has not removed."""
    return list(images.CACHE.glob(f"run-{process.pid}-*"))


def test_help_names_every_subject() -> None:
    """The names can be given to --only."""
    printed = run(sys.executable, "-m", "bench", "--help")

    assert ", ".join(ROWS) in " ".join(printed.split())


@pytest.mark.parametrize("arguments", [["--only", "package,nothing"], ["--rounds", "0"], ["--size-mb", "-1"]])
def test_what_cannot_be_measured_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, before anything is measured."""
    with pytest.raises(SystemExit) as refused:
        main(arguments)

    assert 2 == refused.value.code
    assert arguments[0] in capsys.readouterr().err


def test_the_cheap_subjects_are_printed_for_people_and_for_programs() -> None:
    """A bound that is not met fails nothing, and no file is left."""
    process = bench("--only", "dispatch,import", "--rounds", "1", "--json")
    output, printed = process.communicate()

    assert 0 == process.returncode, printed
    tables = {table["name"]: table for table in json.loads(output)["tables"]}
    assert ["dispatch", "import"] == list(tables)
    assert [[], []] == [table["wrong"] for table in tables.values()]
    assert [{"µs"}, {"s"}] == [{entry["unit"] for entry in table["entries"]} for table in tables.values()]
    assert {True, False} >= {figure["met"] for table in tables.values() for figure in table["figures"]}
    assert "dispatch: get_metrics through execute_effect" in printed
    assert "at most 100 µs:" in printed
    assert [] == left_by(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(number: signal.Signals) -> None:
    """The folder of its run is removed."""
    process = bench("--only", "import")
    assert process.stderr is not None
    assert "bench: import" in process.stderr.readline()

    process.send_signal(number)
    _, printed = process.communicate()

    assert (130, "bench: interrupted; what was made for this run is removed") == (
        process.returncode,
        printed.splitlines()[-1],
    )
    assert [] == left_by(process)


def test_what_fails_is_wrong_and_the_next_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 1 for what could not be measured, not for a missed bound."""

    def fail(_session: object) -> Table:
        raise BenchError("no such program")

    good = Table("good", "measured", figures=[Figure("too slow", 2, "x", at_most=1)])
    monkeypatch.setitem(ROWS, "dispatch", fail)
    monkeypatch.setitem(ROWS, "import", lambda _: good)

    codes = [main(["--only", names]) for names in ("dispatch,import", "import")]

    assert [1, 0] == codes
    printed = capsys.readouterr().out
    assert "WRONG: BenchError: no such program" in printed
    assert 2 == printed.count("good: measured")


def test_a_pipeline_writes_what_its_programs_make(tmp_path: Path) -> None:
    """The output of each program is the input of the next."""
    out = tmp_path / "out"

    seconds = piped([["printf", "abc"], ["tr", "a-z", "A-Z"], ["rev"]], out)

    assert "CBA" == out.read_text().strip()
    assert 0 < seconds


@pytest.mark.parametrize("commands", [[["false"], ["cat"]], [["printf", "abc"], ["false"]]])
def test_a_pipeline_fails_with_each_of_its_programs(commands: list[list[str]], tmp_path: Path) -> None:
    """A shell would see only the failure of the last one."""
    with pytest.raises(BenchError, match="false ended with 1"):
        piped(commands, tmp_path / "out")


async def test_a_loop_that_is_held_up_is_seen_for_as_long_as_it_is() -> None:
    """Every tick that was due meanwhile is late."""
    async with ticking() as late_ms:
        await asyncio.sleep(0.05)
        time.sleep(0.2)  # noqa: ASYNC251 - this is what it is to see
        await asyncio.sleep(0.05)

    assert 150 < max(late_ms)
    assert 10 < sum(late > 50 for late in late_ms)


def test_a_layer_holds_files_of_this_machine(tmp_path: Path) -> None:
    """The sizes add up to about the given one; the next layer has other files."""
    files = images._Files()
    first, second = list(files.take(1_000_000)), list(files.take(1_000_000))
    with (tmp_path / "layer.tar").open("w+b") as file:
        images._write_layer(file, iter(first), "folder", {"Dockerfile": "FROM scratch\n"})
        with tarfile.open(fileobj=file) as tar:
            sizes = {member.name: member.size for member in tar}

    assert 13 == sizes.pop("Dockerfile")
    assert {f"folder{name}" for _, name in first} == sizes.keys()
    assert 980_000 < sum(sizes.values()) <= 1_000_000
    assert set() == {name for _, name in first} & {name for _, name in second}


def test_a_package_can_be_had_again_under_another_id(tmp_path: Path) -> None:
    """With the same bytes; the first stays as it was."""
    folder = tmp_path / "packages" / "one"
    folder.mkdir(parents=True)
    (folder / "image.tar.gz").write_bytes(b"content")
    (folder / "manifest.json").write_text('{"package_id": "one", "other": 1}')
    package = Package("one", folder / "image.tar.gz", tmp_path, {"package_id": "one"})

    again = package.again()

    assert b"content" == again.path.read_bytes()
    ids = [json.loads((one.path.parent / "manifest.json").read_text())["package_id"] for one in (package, again)]
    assert ["one", again.package_id] == ids
    assert again.package_id == again.path.parent.name == again.fields["package_id"]


@pytest.mark.parametrize(("stored", "complaints"), [([], 1), ([b"content"], 0), ([b"other"], 1), ([b"content"] * 2, 1)])
def test_what_the_receiver_has_stored_is_compared_with_what_was_sent(
    stored: list[bytes], complaints: int, tmp_path: Path
) -> None:
    """One file with the package's checksum, no other and no more."""
    for number, content in enumerate(stored):
        folder = tmp_path / "receiver" / "packages" / str(number)
        folder.mkdir(parents=True)
        (folder / "package").write_bytes(content)
    session = Session([1], 1, slow_once=False, folder=tmp_path, report=lambda _: None)

    assert complaints == len(session.received(blake3(b"content").hexdigest()))


def archive(**contents: bytes) -> io.BytesIO:
    """A tar of these files, and a link."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, next(iter(contents))
        tar.addfile(link)
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize("other", [{"a": b"1", "b": b"3"}, {"a": b"1"}, {"b": b"2", "a": b"1"}])
def test_archives_that_differ_are_found(other: dict[str, bytes]) -> None:
    """By a file's content, by a file that is not there, and by where a link leads."""
    contents = {"a": b"1", "b": b"2"}

    assert _content(archive(**contents)) == _content(archive(**contents))
    assert _content(archive(**contents)) != _content(archive(**other))
