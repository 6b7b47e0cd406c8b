"""What the way from a contract to a handler costs."""

from statistics import median
from time import perf_counter_ns

from bench.measure import percentile
from bench.report import Entry, Figure, Table
from bench.session import Session, running_node
from omninode_bridge.nodes.deployment_sender_effect.v1_0_0 import ModelContractEffect, NodeDeploymentSenderEffect

__all__ = ["measure"]

_TIMES = 10_000


def measure(session: Session) -> Table:
    """Ask for the metrics."""
    session.report(f"dispatch: {_TIMES:,} times")
    with running_node({"package_dir": str(session.folder / "packages")}) as (runner, node):
        runner.run(_ask(node, 1))
        found = runner.run(_ask(node, _TIMES))
    typical = median(found)
    return Table(
        "dispatch",
        f"get_metrics through execute_effect, {_TIMES:,} times",
        entries=[Entry("ours", typical, "µs", detail=f"99th percentile {percentile(found, 99):.3g} µs")],
        figures=[Figure("median", typical, "µs", at_most=100)],
    )


async def _ask(node: NodeDeploymentSenderEffect, times: int) -> list[float]:
    contract = ModelContractEffect(input_data={"operation": "get_metrics", "input": {}})
    found = []
    for _ in range(times):
        started = perf_counter_ns()
        await node.execute_effect(contract)
        found.append((perf_counter_ns() - started) / 1000)
    return found
