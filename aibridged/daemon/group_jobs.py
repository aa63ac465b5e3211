"""What one process does for all that share a record: retention, partitions, summaries of usage."""

from contextlib import AsyncExitStack

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.daemon.pruning import Ask, Pruning, audit_pruner, record_pruner
from aibridged.records.database import Engine
from aibridged.records.partitions import Partitions
from aibridged.records.usage_summaries import Summaries, keep_summarising
from aibridged.records.usual_costs import FIRST_S, UsualCosts
from aibridged.tasks import Tasks


class GroupJobs:
    """Those of a daemon: of its only process, or of one of its processes.

    `prune` deletes old interceptions. `stack` stops what runs in threads.
    """

    def __init__(self, engine: Engine, clock: Clock, prune: Ask, stack: AsyncExitStack) -> None:
        self._tasks = Tasks()
        partitions = Partitions(engine, clock)
        if engine.dialect.name == "postgresql":
            self._tasks.start(keep_summarising(partitions, first=0), "partitions")
        stack.callback(partitions.stop)
        prune = record_pruner(partitions, prune)
        self._pruning = Pruning(prune, "interception", self._tasks, clock)
        self._audit_pruning = Pruning(audit_pruner(engine), "audit row", self._tasks, clock)
        summaries = Summaries(engine, clock)
        self._tasks.start(keep_summarising(summaries), "summaries of usage")
        stack.callback(summaries.stop)
        usual_costs = UsualCosts(engine, clock)
        self._tasks.start(keep_summarising(usual_costs, first=FIRST_S), "usual costs of sessions")
        stack.callback(usual_costs.stop)
        stack.push_async_callback(self._tasks.cancel)

    def configure(self, settings: Settings) -> None:
        """Delete what these settings say, from now on."""
        self._pruning.keep(settings.retention)
        self._audit_pruning.keep(settings.audit_retention)
