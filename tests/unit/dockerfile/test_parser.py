"""Dockerfiles, split into instructions."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.parser import Directive, Dockerfile, Instruction


def _read(text: str) -> tuple[Instruction, ...]:
    return Dockerfile(text.encode()).instructions


def test_an_instruction_has_a_keyword_flags_and_arguments() -> None:
    """Flags are read without their quotes, arguments as they are written."""
    (one,) = _read("copy --from=a --chown=\"b c\" -- --d 'e f'  /")

    assert Instruction("COPY", ("--from=a", "--chown=b c"), "--d 'e f'  /", 1) == one


def test_lines_are_joined() -> None:
    """Continued lines are joined without comments and blank lines; the last line may end with the mark, too."""
    one, two = _read("RUN a \\\n # not this\n\n  && b \\ \n  && c\nRUN d \\")

    assert (("a   && b   && c", 1), ("d", 6)) == ((one.arguments, one.line), (two.arguments, two.line))


def test_an_escaped_mark_at_the_end_joins_nothing() -> None:
    """An escaped mark at the end of a line is a backslash."""
    assert ["a \\\\", "b"] == [one.arguments for one in _read("RUN a \\\\\nRUN b\n")]


def test_directives_are_at_the_top() -> None:
    """Directives are read in any case and with blanks; behind anything else they are comments."""
    text = "\ufeff#Syntax = a/b:1\n# escape=`\n#\n# check=x\nFROM a\n"

    assert (Directive("syntax", "a/b:1", 1), Directive("escape", "`", 2)) == Dockerfile(text.encode()).directives


def test_another_escape_character() -> None:
    """With another escape character, backslashes are ordinary characters."""
    assert ["a b", "c:\\"] == [one.arguments for one in _read("# escape=`\nRUN a `\nb\nRUN c:\\\nFROM x\n")[:2]]


def test_here_documents_are_skipped() -> None:
    """The lines of a here-document are no instructions."""
    one, two = _read('RUN <<A 3<<-"B C" cat\nFROM x\nA\n\tCOPY y\n\t\tB C\nCOPY b /\n')

    assert (("A", "B C"), "COPY", 6) == (one.heredocs, two.keyword, two.line)


@pytest.mark.parametrize("line", ['RUN ["cat", "<<EOF"]', "ENV a=<<EOF", "CMD <<EOF", "RUN cat<<EOF", "RUN a <<<EOF"])
def test_lines_that_begin_no_here_document(line: str) -> None:
    """Without a here-document the next line is an instruction."""
    assert 3 == len(_read(f"{line}\nRUN x\nEOF\n"))


def test_words_may_be_a_json_array() -> None:
    """Arguments are split by JSON, or at blanks."""
    json, plain, broken = _read('ADD ["a b", "c"]\nADD a  b\nADD ["a", b]\n')

    assert (["a b", "c"], ["a", "b"], ['["a",', "b]"]) == (json.words(), plain.words(), broken.words())


def test_a_long_dockerfile_is_read_quickly() -> None:
    """Reading takes linear time, also with many here-documents and flags."""
    assert 10_000 == len(_read("RUN <<A\nRUN <<-B\n" * 5_000))
    assert 50_000 == len(_read("RUN " + "--a " * 50_000)[0].flags)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"ONBUILD", b"# syntax= ", b"ONBUILD ONBUILD ONBUILD", b"\\", b"RUN [[[[", b"--"]
)
def test_any_bytes_can_be_read(content: bytes) -> None:
    """A malformed Dockerfile is read; the engine reports the mistake."""
    assert len(Dockerfile(content).instructions) <= 1
