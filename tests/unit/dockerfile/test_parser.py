"""Dockerfiles, split into instructions."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.parser import Directive, Dockerfile, Instruction


def _read(text: str) -> tuple[Instruction, ...]:
    return Dockerfile(text.encode()).instructions


def test_an_instruction_has_a_keyword_flags_and_arguments() -> None:
    """Flags without their quotes; arguments as they are written."""
    (one,) = _read("copy --from=a --chown=\"b c\" -- --d 'e f'  /")

    assert Instruction("COPY", ("--from=a", "--chown=b c"), "--d 'e f'  /", 1) == one


def test_lines_are_joined() -> None:
    """Without the comments and blank lines between them; the last line may end with the mark, too."""
    one, two = _read("RUN a \\\n # not this\n\n  && b \\ \n  && c\nRUN d \\")

    assert (("a   && b   && c", 1), ("d", 6)) == ((one.arguments, one.line), (two.arguments, two.line))


def test_an_escaped_mark_at_the_end_joins_nothing() -> None:
    """It is a backslash."""
    assert ["a \\\\", "b"] == [one.arguments for one in _read("RUN a \\\\\nRUN b\n")]


def test_directives_stand_at_the_top() -> None:
    """In any case and with blanks; behind anything else they are comments."""
    text = "\ufeff#Syntax = a/b:1\n# escape=`\n#\n# check=x\nFROM a\n"

    assert (Directive("syntax", "a/b:1", 1), Directive("escape", "`", 2)) == Dockerfile(text.encode()).directives


def test_another_escape_is_obeyed() -> None:
    """Backslashes are letters then."""
    assert ["a b", "c:\\"] == [one.arguments for one in _read("# escape=`\nRUN a `\nb\nRUN c:\\\nFROM x\n")[:2]]


def test_here_documents_are_passed() -> None:
    """What is in them is no instruction."""
    one, two = _read('RUN <<A 3<<-"B C" cat\nFROM x\nA\n\tCOPY y\n\t\tB C\nCOPY b /\n')

    assert (("A", "B C"), "COPY", 6) == (one.heredocs, two.keyword, two.line)


@pytest.mark.parametrize("line", ['RUN ["cat", "<<EOF"]', "ENV a=<<EOF", "CMD <<EOF", "RUN cat<<EOF", "RUN a <<<EOF"])
def test_what_begins_no_here_document(line: str) -> None:
    """The next line is an instruction."""
    assert 3 == len(_read(f"{line}\nRUN x\nEOF\n"))


def test_words_may_be_a_json_array() -> None:
    """Or between blanks."""
    json, plain, broken = _read('ADD ["a b", "c"]\nADD a  b\nADD ["a", b]\n')

    assert (["a b", "c"], ["a", "b"], ['["a",', "b]"]) == (json.words(), plain.words(), broken.words())


def test_a_long_one_is_read_quickly() -> None:
    """However often the end of a here-document has to be looked for, and however many flags there are."""
    assert 10_000 == len(_read("RUN <<A\nRUN <<-B\n" * 5_000))
    assert 50_000 == len(_read("RUN " + "--a " * 50_000)[0].flags)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"ONBUILD", b"# syntax= ", b"ONBUILD ONBUILD ONBUILD", b"\\", b"RUN [[[[", b"--"]
)
def test_whatever_it_is_it_can_be_read(content: bytes) -> None:
    """Saying what is wrong with it is the engine's business."""
    assert len(Dockerfile(content).instructions) <= 1
