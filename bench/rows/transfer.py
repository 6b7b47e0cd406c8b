"""From a package on the disk into a receiver, verified and durable there."""

from statistics import median

from bench.measure import compare
from bench.report import Figure, Table, entries
from bench.sending import curl, note_on_size, send
from bench.session import Session, running_node

__all__ = ["measure"]

_CURL = "curl -F"


def measure(session: Session) -> Table:
    """Compare."""
    package = session.package
    stages: list[dict[str, float]] = []
    wrong: list[str] = []

    with running_node({"package_dir": str(package.store)}) as (runner, node):

        def ours() -> float:
            with session.receiver() as receiver:
                seconds, output = runner.run(send(node, package, receiver.url))
                wrong.extend(session.received(package.fields["checksum"]))
            stages.append(output.stages_ms)
            return seconds

        def theirs() -> float:
            with session.receiver() as receiver:
                seconds = curl(package, receiver.url, session.folder / "response")
                wrong.extend(session.received(package.fields["checksum"]))
            return seconds

        found = compare(
            {"ours": ours, _CURL: theirs},
            session.rounds,
            warm_up=True,
            before=session.turn_of("transfer"),
        )
    size_mb = package.size_bytes / 1e6
    rates = {name: size_mb / found.median(name) for name in ("ours", _CURL)}
    medians = ", ".join(f"{stage} {median(one[stage] for one in stages):,.0f}" for stage in stages[0])
    return Table(
        "transfer",
        f"a package of {size_mb:,.0f} MB into our receiver, until it is verified and durable there",
        entries=entries(found, ours=["ours"], details={name: f"{rate:,.0f} MB/s" for name, rate in rates.items()}),
        figures=[
            Figure(f"throughput of ours / {_CURL}", found.ratio(_CURL, "ours"), "x", at_least=0.9),
            Figure("throughput of ours", rates["ours"], "MB/s", at_least=300),
        ],
        notes=[f"stages of ours, median ms: {medians}", *note_on_size(package)],
        wrong=wrong,
    )
