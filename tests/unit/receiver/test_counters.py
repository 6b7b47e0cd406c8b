"""What the receiver counts."""

from omninode_bridge.nodes.deployment_sender_effect.v1_0_0.receiver.counters import Counters


def test_every_figure_has_its_help_and_its_type() -> None:
    """As Prometheus' text format asks for."""
    counters = Counters()
    counters.add("upload_bytes_total", 3)
    lines = counters.text(uploads_active=2, deployments={"running": 1, "failed": 4}).splitlines()
    assert lines.count("deployment_receiver_upload_bytes_total 3") == 1
    assert lines[-7:] == [
        "# HELP deployment_receiver_uploads_active Uploads arriving now.",
        "# TYPE deployment_receiver_uploads_active gauge",
        "deployment_receiver_uploads_active 2",
        "# HELP deployment_receiver_deployments Deployments by status.",
        "# TYPE deployment_receiver_deployments gauge",
        'deployment_receiver_deployments{status="failed"} 4',
        'deployment_receiver_deployments{status="running"} 1',
    ]


def test_what_never_happened_is_zero() -> None:
    """And not absent."""
    assert "deployment_receiver_uploads_stored_total 0\n" in Counters().text(0, {})
