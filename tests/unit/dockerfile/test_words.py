"""The words of an instruction that begin a here-document."""

import pytest

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.dockerfile.words import heredoc_names


@pytest.mark.parametrize(
    ("instruction", "names"),
    [
        ("RUN <<EOF", [("EOF", False)]),
        ("RUN << EOF cat", [("EOF", False)]),
        ("RUN <<-EOF", [("EOF", True)]),
        ("RUN 3<<EOF", [("EOF", False)]),
        ("RUN <<'E F' cat", [("E F", False)]),
        ('RUN <<"EOF" cat', [("EOF", False)]),
        ("RUN <<E\\OF", [("EOF", False)]),
        ("RUN cat <<A && cat <<-B", [("A", False), ("B", True)]),
        ("RUN echo ${x:-a} $y $1 <<EOF", [("EOF", False)]),
        ('RUN echo "a $b \\" <<NO" <<EOF', [("EOF", False)]),
    ],
)
def test_here_documents(instruction: str, names: list[tuple[str, bool]]) -> None:
    """Here-documents are found with the names of their ends, without quotes."""
    assert names == list(heredoc_names(instruction))


@pytest.mark.parametrize(
    "instruction",
    [
        "RUN cat <<<word",
        "RUN cat <<< word",
        "RUN echo $((1<<2))",
        "RUN echo '<<EOF'",
        'RUN echo "<<EOF"',
        "RUN cat<<EOF",
        "RUN a < b",
        "RUN a <<",
        'RUN a <<""',
        "RUN \\<<EOF",
        "RUN echo ${x^^} <<EOF",
        "RUN echo ${} <<EOF",
        "RUN echo ${x:-<<EOF",
        "RUN echo 'it <<EOF",
        'RUN echo "it <<EOF',
        "RUN echo ${x/a <<EOF",
    ],
)
def test_instructions_without_here_documents(instruction: str) -> None:
    """Where BuildKit cannot split the words, it finds no here-document."""
    assert [] == list(heredoc_names(instruction))
