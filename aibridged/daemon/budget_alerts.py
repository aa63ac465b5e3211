"""Budget alerts: noted beside the requests, told once a period by log, metric and webhook.

A request only looks into memory and puts an alert into a bounded queue. The database decides which
daemon tells it, and keeps what is still to be posted, also across a restart.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from cachetools import LRUCache
from loguru import logger

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.budget_alerts import Alert, Told, reached, sentence
from aibridged.core.budgets import Scope, Standing
from aibridged.daemon.alert_webhook import Webhook
from aibridged.identity.spend_limits import limit_with
from aibridged.identity.spend_scopes import ScopeKey, scope_names
from aibridged.identity.tables import StoreUnavailableError, transaction
from aibridged.records.budget_alerts import AlertStore
from aibridged.records.database import Engine, reason_of
from aibridged.records.jobs import RecordingFailedError
from aibridged.tasks import Tasks

MAX_WAITING = 1_000
"""Alerts that wait to be noted in the database; further ones are noted by a later request."""
MAX_REMEMBERED = 20_000
"""Limits and subjects whose alerts are known to be noted."""
AT_ONCE = 4
"""Alerts that are posted at a time."""
LEASE_S = 60.0
"""For how long others leave an alert to the daemon that posts it: longer than a request takes."""
MIN_PAUSE_S = 5.0
MAX_PAUSE_S = 900.0
"""Between two attempts; a pause is as long as the time since the alert in between."""
GIVE_UP_S = 86_400.0
"""How long an alert is tried."""
INTERVAL_S = 15.0
"""Between two looks for what is due, such as another daemon's that has stopped."""
KEPT_DAYS = 70
"""For how long what was told is remembered: longer than any period."""
_COMPLAIN_EVERY_S = 60.0

_T = TypeVar("_T")
_FAILED = (RecordingFailedError, StoreUnavailableError)


class BudgetAlerts:
    """The alerts of one daemon. `told` and `posts` count them; it is for the event loop."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.told: Counter[tuple[str, ...]] = Counter()
        self.posts: Counter[tuple[str, ...]] = Counter()
        self._engine = engine
        self._clock = clock
        self._store = AlertStore(engine)
        self._webhook = Webhook()
        self._thresholds: tuple[int, ...] = ()
        self._noted: LRUCache[tuple[str, str, date], int] = LRUCache(MAX_REMEMBERED)
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(MAX_WAITING)
        self._is_due = asyncio.Event()
        self._quiet_until: dict[str, float] = {}
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="budget alerts")
        self._tasks = Tasks()

    def configure(self, settings: Settings) -> None:
        """Tell what these settings say, and post it where they say, from now on."""
        self._thresholds = settings.budget_alerts
        self._webhook.configure(settings)

    def start(self) -> None:
        """Begin to note and to post."""
        self._tasks.start(self._keep_noting(), "budget alerts")
        self._tasks.start(self._keep_posting(), "posting of budget alerts")

    async def close(self) -> None:
        """Stop. What isn't posted yet is by another daemon, or after the next start."""
        await self._tasks.cancel()
        await self._webhook.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def note(self, standing: Standing, has_refused: bool = False) -> None:
        """Note how a cap stands. One that has refused a request is reached, whatever is left of it.

        It costs a look into memory unless a threshold is reached for the first time.
        """
        cap, used = standing.cap, standing.used
        levels = reached(self._thresholds, max(used, cap.nanos) if has_refused else used, cap.nanos)
        if not levels:
            return
        key = (cap.limit.id, cap.subject, standing.since)
        if self._noted.get(key, 0) >= levels[-1] or self._waiting.full():
            return
        self._noted[key] = levels[-1]
        now = self._clock.wall()
        self._waiting.put_nowait(Alert(*key, levels[-1], now, used, cap.nanos))

    async def idle(self) -> None:
        """Return once all that was noted is in the database, or wasn't to be noted there."""
        await self._waiting.join()

    async def post_due(self) -> None:
        """Post what may be posted now, a few at a time."""
        while self._webhook.origin is not None:
            due = await self._in_thread(lambda: self._store.due(self._clock.wall(), AT_ONCE))
            async with asyncio.TaskGroup() as posting:
                for alert in due:
                    posting.create_task(self._post(alert))
            if len(due) < AT_ONCE:
                return

    async def _keep_noting(self) -> None:
        while True:
            alert = await self._waiting.get()
            try:
                await self._note(alert)
            except _FAILED as error:
                self._noted.pop((alert.limit_id, alert.subject, alert.period_start), None)
                self._complain("Budget alerts can't be noted: {}", _reason(error))
            finally:
                self._waiting.task_done()

    async def _note(self, alert: Alert) -> None:
        lower = [each for each in self._thresholds if each < alert.threshold]
        try_at = alert.reached_at if self._webhook.origin is not None else None
        if not await self._in_thread(lambda: self._store.reach(alert, lower, try_at)):
            return
        told = await self._in_thread(lambda: _describe(self._engine, alert))
        if told is None:
            return
        self.told[str(alert.threshold), told.scope.value, told.period.value] += 1
        logger.bind(
            spend_limit_id=alert.limit_id,
            subject=alert.subject,
            threshold=alert.threshold,
            used_nanos=alert.used,
            cap_nanos=alert.cap,
        ).warning("Budget alert: {}", sentence(told))
        self._is_due.set()

    async def _keep_posting(self) -> None:
        pruned_on = None
        while True:
            try:
                await self.post_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL_S):
                        await self._is_due.wait()
                self._is_due.clear()
                if pruned_on != (today := self._clock.wall().date()):
                    pruned_on = today
                    await self._prune(today)
            except* _FAILED as errors:
                self._complain("Budget alerts can't be read: {}", _reason(errors.exceptions[0]))
                await asyncio.sleep(MIN_PAUSE_S)

    async def _post(self, alert: Alert) -> None:
        now = self._clock.wall()
        until = now + timedelta(seconds=LEASE_S)
        if not await self._in_thread(lambda: self._store.claim(alert, now, until)):
            return
        told = await self._in_thread(lambda: _describe(self._engine, alert))
        age = (now - alert.reached_at).total_seconds()
        if told is None or age > GIVE_UP_S:
            self.posts["given_up",] += 1
            await self._in_thread(lambda: self._store.later(alert, None))
            return
        posted = await self._webhook.post(told)
        now = self._clock.wall()
        if posted.failure is None:
            self.posts["sent",] += 1
            await self._in_thread(lambda: self._store.sent(alert, now))
            return
        self.posts["failed",] += 1
        self._complain(
            "Budget alerts can't be posted to {}: {}", self._webhook.origin, posted.failure
        )
        pause = max(min(max(age, MIN_PAUSE_S), MAX_PAUSE_S), posted.retry_after)
        again = now + timedelta(seconds=pause)
        await self._in_thread(lambda: self._store.later(alert, again))

    async def _prune(self, today: date) -> None:
        await self._in_thread(lambda: self._store.prune(today - timedelta(days=KEPT_DAYS)))

    async def _in_thread(self, ask: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    def _complain(self, text: str, *values: object) -> None:
        now = self._clock.monotonic()
        if now >= self._quiet_until.get(text, now):
            self._quiet_until[text] = now + _COMPLAIN_EVERY_S
            logger.warning(text, *values)


def _describe(engine: Engine, alert: Alert) -> Told | None:
    """The alert with names; None if its limit is deleted. Blocks."""
    kind, _, id = alert.subject.partition(":")
    whose = ScopeKey(Scope(kind), id)
    with transaction(engine) as connection:
        limit = limit_with(connection, alert.limit_id)
        if limit is None:
            return None
        name = scope_names(connection, [whose]).get(whose)
    began = datetime.combine(alert.period_start, time(), UTC)
    return Told(alert, limit.scope, limit.period, limit.period.reset(began), name, limit.group)


def _reason(error: BaseException) -> str:
    return reason_of(error.__cause__ or error)
