"""Tables of what was measured: for people, and for programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from bench.measure import Comparison

__all__ = ["Entry", "Figure", "Table", "document", "entries", "lines"]

_NAME_WIDTH = 34
_TITLE_WIDTH = 72
_WHOLE_FROM = 1000


@dataclass(frozen=True)
class Entry:
    """One contestant.

    Attributes:
        of_floor: Its part of what nothing can be faster than; None where there is no floor.
        of_best: Its part of the best alternative; None where there is none.
        detail: A further fact, such as a size.
    """

    name: str
    median: float
    unit: str
    of_floor: float | None = None
    of_best: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Figure:
    """One number, and what it must reach."""

    title: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it reaches what it must; None where it need not reach anything."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )


@dataclass
class Table:
    """One subject.

    Attributes:
        wrong: What is incorrect: no number counts then.
        column: What the entries' values are.
    """

    name: str
    title: str
    entries: Sequence[Entry] = ()
    figures: Sequence[Figure] = ()
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    column: str = "median"


def entries(
    found: Comparison,
    *,
    ours: Sequence[str],
    floor: str | None = None,
    details: Mapping[str, str] | None = None,
    unit: str = "s",
) -> list[Entry]:
    """Make the entries of a comparison; all that is neither ours nor the floor is an alternative."""
    names = list(found.rounds[0])
    names = [name for name in [*ours, floor] if name in names] + [
        name for name in names if name not in ours and name != floor
    ]
    alternatives = [name for name in names if name not in ours and name != floor]
    best = found.least(alternatives) if alternatives else None
    return [
        Entry(
            name,
            found.median(name),
            unit,
            of_floor=found.ratio(name, floor) if floor else None,
            of_best=found.ratio(name, best) if best else None,
            detail=(details or {}).get(name, ""),
        )
        for name in names
    ]


def lines(table: Table) -> list[str]:
    """Return the lines of a table for a person."""
    printed = [f"{table.name}: {table.title}"]
    if table.entries:
        printed.append(f"  {'':{_NAME_WIDTH}} {table.column:>14} {'of floor':>10} {'of best':>10}")
    for one in table.entries:
        line = f"  {one.name:{_NAME_WIDTH}} {_with_unit(one.median, one.unit):>14}"
        line += f" {_ratio(one.of_floor):>10} {_ratio(one.of_best):>10}  {one.detail}"
        printed.append(line.rstrip())
    printed += [_figure(figure) for figure in table.figures]
    printed += [f"  {note}" for note in table.notes]
    printed += [f"  WRONG: {complaint}" for complaint in table.wrong]
    return printed


def document(about: Mapping[str, object], tables: Iterable[Table]) -> dict[str, object]:
    """Return all tables as JSON can hold them."""
    printed = []
    for table in tables:
        figures = [asdict(figure) | {"met": figure.met} for figure in table.figures]
        printed.append(asdict(table) | {"figures": figures})
    return {**about, "tables": printed}


def _figure(figure: Figure) -> str:
    bounds = [("at most", figure.at_most), ("at least", figure.at_least)]
    must = " and ".join(f"{word} {_with_unit(bound, figure.unit)}" for word, bound in bounds if bound is not None)
    verdict = {True: "met", False: "NOT MET", None: ""}[figure.met]
    line = f"  {figure.title:{_TITLE_WIDTH}} {_with_unit(figure.value, figure.unit):>12}"
    return f"{line}   {must + ':' if must else '':22} {verdict}".rstrip()


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} x"


def _with_unit(value: float, unit: str) -> str:
    return f"{_number(value)} {unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"
