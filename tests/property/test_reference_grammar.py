"""Names and tags, compared with the grammar of distribution/reference, written a second time without patterns.

What is made by the grammar is also split and spelled in full.
"""

import string
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.fields import ContainerName, ImageTag
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.models.reference import ImageReference, split_tag

_LOWER = frozenset(string.ascii_lowercase + string.digits)
_ALPHANUMERIC = frozenset(string.ascii_letters + string.digits)
_WORD = _ALPHANUMERIC | {"_"}
_HEX = frozenset(string.hexdigits)
_DIGITS = frozenset(string.digits)


def is_tag(text: str) -> bool:
    """A tag is 1 to 128 word characters, dots and dashes, beginning with a word character; in Go those are ASCII."""
    return 1 <= len(text) <= 128 and text[0] in _WORD and all(c in _WORD or c in ".-" for c in text)


def is_path_component(text: str) -> bool:
    """A path-component := alpha-numeric [separator alpha-numeric]*, separator := one of . _ __ and dashes."""
    gap = "."  # what stands between two alphanumeric characters: nothing may precede the first
    for c in text:
        if c not in _LOWER:
            gap += c
        elif gap in {"", ".", "_", "__"} or set(gap) == {"-"}:
            gap = ""
        else:
            return False
    return bool(text) and text[0] in _LOWER and not gap


def is_domain_component(text: str) -> bool:
    """A domain-component := letters, digits and dashes, with no dash at either end."""
    return bool(text) and "-" not in {text[0], text[-1]} and all(c in _ALPHANUMERIC or c == "-" for c in text)


def is_domain(text: str) -> bool:
    """A domain := host [':' port], host := domain-component ['.' domain-component]* or an IPv6 in brackets."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        sound = bool(host) and bool(bracket) and all(c in _HEX or c == ":" for c in host)
        if port and not port.startswith(":"):
            return False
    else:
        host, colon, digits = text.partition(":")
        port = colon + digits
        sound = all(is_domain_component(part) for part in host.split("."))
    return sound and (not port or (len(port) > 1 and all(c in _DIGITS for c in port[1:])))


def is_name(text: str) -> bool:
    """A name := [domain '/'] path, with at most 255 characters in full, and no image id.

    A domain has a dot, a colon or an upper-case letter, or is localhost.
    """
    parts = text.split("/")
    head = parts[0]
    domain = "docker.io"
    if len(parts) > 1 and ("." in head or ":" in head or head == "localhost" or head.lower() != head):
        parts = parts[1:]
        if not is_domain(head):
            return False
        domain = "docker.io" if head == "index.docker.io" else head
    library = ["library"] if domain == "docker.io" and len(parts) == 1 else []
    full = "/".join([domain, *library, *parts])
    is_id = len(text) == 64 and all(c in "0123456789abcdef" for c in text)
    return len(full) <= 255 and not is_id and all(is_path_component(part) for part in parts)


def _accepts(adapter: TypeAdapter[str]) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        try:
            return adapter.validate_python(text) == text
        except ValidationError:
            return False

    return accepts


accepts_name, accepts_tag = _accepts(TypeAdapter(ContainerName)), _accepts(TypeAdapter(ImageTag))

# Characters of the grammars, and similar ones: other digits and letters, the ends of lines, a NUL.
_TRICKY = st.sampled_from("aAfzZ09..__--//::[]@ é１ａİſK\n\r\0\u2028")
_tricky_texts = st.text(_TRICKY, max_size=12)
_component = st.lists(st.text(sorted(_LOWER), min_size=1, max_size=6), min_size=1, max_size=4).flatmap(
    lambda words: st.lists(
        st.sampled_from([".", "_", "__", "-", "---"]), min_size=len(words) - 1, max_size=len(words) - 1
    ).map(lambda gaps: "".join(a + b for a, b in zip(words, [*gaps, ""], strict=True)))
)
_head = st.sampled_from(
    [
        "library",
        "team__a",
        "localhost",
        "localhost:5000",
        "a.b-c.D",
        "R",
        "10.0.0.1:80",
        "[::1]",
        "[2001:dB8::1]:5",
        "a:1",
        "index.docker.io",
    ]
)
_paths = st.lists(_component, min_size=1, max_size=4).map("/".join)
_names = _component | st.tuples(_head, _paths).map("/".join)
_tags = st.tuples(st.sampled_from(sorted(_WORD)), st.text(sorted(_WORD | {".", "-"}), max_size=127)).map("".join)


@st.composite
def _almost(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    """Insert, change or remove one character of a text."""
    text = draw(texts)
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(st.just("") | _TRICKY) + text[at + draw(st.integers(0, 1)) :]


@given(_names)
@example("a" * 237)
@example("docker.io/" + "a" * 237)
@example("index.docker.io/" + "a" * 237)
@example("r.x/" + "a" * 251)
@example("0" * 63)
def test_every_name_of_the_grammar_is_accepted(name: str) -> None:
    """Names that the grammar makes, also long and nested ones, are accepted."""
    assert is_name(name)
    assert accepts_name(name)


@given(_tricky_texts | _almost(_names))
@example("a" * 238)
@example("docker.io/" + "a" * 238)
@example("index.docker.io/" + "a" * 238)
@example("r.x/" + "a" * 252)
@example("0" * 64)
@example("localhost")
@example("localhost/a")
@example("docker.io/" + "0" * 64)
def test_names_are_accepted_only_if_the_grammar_has_them(name: str) -> None:
    """Texts that are almost a name are accepted only if the grammar has them."""
    assert is_name(name) == accepts_name(name)


@given(_tags)
@example("a" * 128)
def test_every_tag_of_the_grammar_is_accepted(tag: str) -> None:
    """Tags of up to 128 characters are accepted."""
    assert is_tag(tag)
    assert accepts_tag(tag)


@given(_tricky_texts | _almost(_tags))
@example("1.0\n")
@example("１")
@example("a" * 129)
def test_tags_are_accepted_only_if_the_grammar_has_them(tag: str) -> None:
    """Texts that are almost a tag are accepted only if the grammar has them."""
    assert is_tag(tag) == accepts_tag(tag)


@given(_names, st.none() | _tags, st.none() | st.just(f"sha256:{'ab' * 32}"))
def test_references_are_split_where_they_were_joined(name: str, tag: str | None, digest: str | None) -> None:
    """Name, tag and digest come out as they went in; the full spelling is read as the same reference."""
    reference = name + (f":{tag}" if tag else "")
    parsed = ImageReference.parse(reference + (f"@{digest}" if digest else ""))

    assert (name, tag) == split_tag(reference)
    assert (tag or (None if digest else "latest"), digest) == (parsed.tag, parsed.digest)
    assert name.endswith(parsed.path.removeprefix("library/"))
    assert parsed == ImageReference.parse(str(parsed))
