"""Five transfers at once, and one alone."""

from statistics import median

from bench.measure import compare
from bench.report import Figure, Table, entries
from bench.sending import note_on_size, send, send_all
from bench.session import Session, running_node

__all__ = ["measure"]

_AT_ONCE = 5
_ALONE = "one alone"
_FIVE = "five at once"


def measure(session: Session) -> Table:
    """Compare."""
    package = session.package
    packages = [package.again() for _ in range(_AT_ONCE)]
    checksum = package.fields["checksum"]
    spreads: list[float] = []
    wrong: list[str] = []

    with running_node({"package_dir": str(package.store)}) as (runner, node):

        def alone() -> float:
            with session.receiver() as receiver:
                seconds, _ = runner.run(send(node, package, receiver.url))
                wrong.extend(session.received(checksum))
            return seconds

        def five() -> float:
            with session.receiver() as receiver:
                seconds, each = runner.run(send_all(node, packages, receiver.url))
                wrong.extend(session.received(checksum, _AT_ONCE))
            spreads.append(max(each) / min(each))
            return seconds

        found = compare(
            {_ALONE: alone, _FIVE: five},
            session.rounds,
            warm_up=True,
            before=session.turn_of("five"),
        )
    spread = median(spreads[1:])  # without the warm-up
    size_mb = package.size_bytes / 1e6
    rates = {_ALONE: size_mb / found.median(_ALONE), _FIVE: _AT_ONCE * size_mb / found.median(_FIVE)}
    return Table(
        "five",
        f"five transfers of {size_mb:,.0f} MB at once, and one alone",
        entries=entries(
            found, ours=[_ALONE, _FIVE], details={name: f"{rate:,.0f} MB/s" for name, rate in rates.items()}
        ),
        figures=[
            Figure("total throughput of five / of one", _AT_ONCE * found.ratio(_ALONE, _FIVE), "x", at_least=0.95),
            Figure("the slowest of five / the fastest", spread, "x", at_most=1.5),
        ],
        notes=note_on_size(package),
        wrong=wrong,
    )
