"""Prometheus's own metrics of one of several processes, with a label that says which."""

from msgspec.structs import replace
from prometheus_client import ProcessCollector

from aibridged.observe.metric_table import PROCESS
from aibridged.observe.series import Numbers

ROWS = {row.name.removesuffix("_total"): replace(row, labels=("worker",)) for row in PROCESS}


def process_readings(worker: str) -> list[Numbers]:
    """The metrics of this process, which is called `worker`."""
    families = ProcessCollector(registry=None).collect()
    return [
        Numbers(ROWS[family.name], {(worker,): family.samples[0].value})
        for family in families
        if family.name in ROWS and family.samples
    ]
