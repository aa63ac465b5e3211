"""Metrics that are counted as requests are served. See `metric_table` for their meaning.

A request is counted once, at its end. Counts that other components keep are read when the metrics
are requested (see `daemon.metrics_snapshot`).
"""

from aibridged.errors import CIRCUIT_OPEN, CONCERN_A_PERSON, ERRORS
from aibridged.observe import limit_table
from aibridged.observe import metric_table as table
from aibridged.observe.labels import OTHER, Names
from aibridged.observe.metric import Metric
from aibridged.observe.request_summary import RequestOutcome, RequestSummary, TokenCounts
from aibridged.observe.running import Running
from aibridged.observe.series import CounterSeries, HistogramSeries, Labels, Numbers, Reading

MAX_MODELS = 80
MAX_TOOLS = 300
MAX_INITIATORS = 2000
MAX_ERROR_TYPES = 30
MAX_GROUPS = 50
MAX_GROUPS_EACH = 20
"""Of one person that are counted in."""
MAX_USERNAME = 128
"""Characters."""

_UNPRICED = "unpriced"
# Places for names that no provider has responded to yet: typing errors, or models that are down.
_UNPROVEN_MODELS = 20


class Metrics:
    """The daemon's counters and histograms, for the event loop only.

    Without `initiators` the label initiator_id is empty. `running` is counted elsewhere.
    """

    def __init__(self, running: Running, *, initiators: bool = True) -> None:
        self._running = running
        self._by_initiator = initiators
        self._models = Names(MAX_MODELS, on_trial=_UNPROVEN_MODELS)
        self._tools = Names(MAX_TOOLS)
        self._initiators = Names(MAX_INITIATORS)
        self._error_types = Names(MAX_ERROR_TYPES)
        self._groups = Names(MAX_GROUPS)
        self._usernames: dict[str, str] = {}  # by the value of the label initiator_id

        self._series: list[CounterSeries | HistogramSeries] = []
        self._interceptions = self._counter(table.INTERCEPTIONS)
        self._durations = self._histogram(table.INTERCEPTIONS_DURATION)
        self._passthrough = self._counter(table.PASSTHROUGH)
        self._rejections = self._counter(table.REJECTIONS)
        self._person_refusals = self._counter(limit_table.PERSON_REFUSALS)
        self._runaways = self._counter(limit_table.RUNAWAY_SESSIONS)
        self._soft_budgets = self._counter(limit_table.SOFT_BUDGETS)
        self._prompts = self._counter(table.PROMPTS)
        self._tokens = self._counter(table.TOKENS)
        self._costs = self._counter(table.COSTS)
        self._unpriced = self._counter(table.UNPRICED)
        self._selections = self._counter(table.TOOL_SELECTIONS)
        self._invocations = self._counter(table.TOOL_INVOCATIONS)
        self._first_bytes = self._histogram(table.TIME_TO_FIRST_BYTE)
        self._token_times = self._histogram(table.TIME_BETWEEN_TOKENS)
        self._overheads = self._histogram(table.REQUEST_OVERHEAD)
        self._chunks = self._histogram(table.CHUNK_OVERHEAD)
        self._lags = self._histogram(table.EVENT_LOOP_LAG)
        self._trips = self._counter(table.BREAKER_TRIPS)
        self._rejects = self._counter(table.BREAKER_REJECTS)
        self._stream_errors = self._counter(table.STREAM_ERRORS)
        self._upstream_responses = self._counter(table.UPSTREAM_RESPONSES)
        self._unread = self._counter(table.UNREAD)
        self._sign_ins = self._counter(table.SIGN_INS)
        self._proxy_sessions = self._counter(table.PROXY_SESSIONS)
        self._proxy_requests = self._counter(table.PROXY_REQUESTS)
        self._proxy_responses = self._counter(table.PROXY_RESPONSES)
        for kind in ERRORS:
            self._rejections.add((kind.code,), 0)

        self._seen_running: set[Labels] = set()
        self._proxied: dict[Labels, int] = {}

    def finished(self, request: RequestSummary) -> None:
        """Count a request that has ended."""
        if request.reason is not None:
            self._rejections.add((request.reason,))
            if request.reason in CONCERN_A_PERSON and request.initiator_id is not None:
                self._person_refused(request.reason, request.groups)
        provider = request.provider
        if provider is None:
            return
        if request.sent_at is not None:
            overhead = request.sent_at - request.began - request.body_wait
            self._overheads.observe((provider,), max(0.0, overhead))
        if request.upstream_status is not None:
            self._upstream_responses.add(
                (provider, str(request.upstream_status), request.credential_kind or "")
            )
        route = request.path[len(provider) + 1 :]
        if request.interception_id is not None:
            self._interception(request, provider, route)
        elif request.reason == CIRCUIT_OPEN.code:
            self._rejects.add((provider, route, self.model(request.model or OTHER)))
        elif request.sent_at is not None:
            self._passthrough.add((provider, route, request.method))
            self._fetched(request, provider)

    def circuit_opened(self, provider: str, route: str, model: str) -> None:
        """A circuit has opened, for the first time or again."""
        labels = (provider, route, self.model(model))
        self._trips.add(labels)
        self._rejects.add(labels, 0)  # it exists, so that the first is seen as a rise

    def chunk_relayed(self, provider: str, seconds: float) -> None:
        """A chunk of a response has kept the gateway busy for so long."""
        self._chunks.observe((provider,), seconds)

    def loop_lagged(self, seconds: float) -> None:
        """The event loop was late by so much."""
        self._lags.observe((), seconds)

    def tool_invoked(self, provider: str, model: str, server: str, name: str) -> None:
        """The gateway has called a tool of an MCP server."""
        tool = self._tools.label(name, proven=True)
        self._invocations.add((provider, self.model(model), server, tool))

    def signed_in(self, outcome: str) -> None:
        """A step of somebody's sign-in has come to this, one of a few words."""
        self._sign_ins.add((outcome,))

    def session_ran_away(self, limit: str, action: str) -> None:
        """A session has reached a limit of its policy, and this is done: warn or end."""
        self._runaways.add((limit, action))

    def soft_budget_reached(self, action: str) -> None:
        """A request of a person near a spend limit: warn or switch."""
        self._soft_budgets.add((action,))

    def connect_session(self, kind: str) -> None:
        """A client of the AI Proxy has a CONNECT session: mitm or tunneled."""
        self._proxy_sessions.add((kind,))

    def proxied_request_began(self, provider: str) -> None:
        """The AI Proxy passes a request on; each of these needs one `proxied_request_ended`."""
        self._proxy_requests.add((provider,))
        self._proxied[provider,] = self._proxied.get((provider,), 0) + 1

    def proxied_request_ended(self, provider: str, status: int) -> None:
        self._proxied[provider,] -= 1
        self._proxy_responses.add((str(status), provider))

    def model(self, name: str) -> str:
        """The label of a model that no provider may have responded to yet."""
        return self._models.label(name, proven=False)

    def readings(self) -> list[Reading]:
        """A copy of all counts."""
        return [
            *(series.read() for series in self._series),
            Numbers(table.INTERCEPTIONS_INFLIGHT, self._inflight()),
            Numbers(table.PROXY_INFLIGHT, dict(self._proxied)),
            Numbers(table.USER_INFO, dict.fromkeys(self._usernames.items(), 1.0)),
        ]

    def _counter(self, row: Metric) -> CounterSeries:
        series = CounterSeries(row)
        self._series.append(series)
        return series

    def _histogram(self, row: Metric) -> HistogramSeries:
        series = HistogramSeries(row)
        self._series.append(series)
        return series

    def _person_refused(self, reason: str, groups: tuple[str, ...]) -> None:
        """Once in each group; those that share a label count as one."""
        names = groups[:MAX_GROUPS_EACH]
        for label in {self._groups.label(name, proven=True) for name in names} or ("",):
            self._person_refusals.add((reason, label))

    def _interception(self, request: RequestSummary, provider: str, route: str) -> None:
        model = self._models.label(
            request.model or OTHER, proven=request.status is not None and request.status < 400
        )
        initiator, client = self._initiator(request), request.client
        self._interceptions.add(
            (provider, model, request.outcome, route, request.method, initiator, client)
        )
        if request.has_prompt:
            self._prompts.add((provider, model, initiator, client))
        if request.provider_error is not None and request.status == 200:
            kind = self._error_types.label(request.provider_error, proven=True)
            self._stream_errors.add((provider, kind))
        if request.unread is not None:
            self._unread.add((provider, request.unread))
        self._answered(request, (provider, model), (initiator, client))
        self._cost(request, provider, model)
        self._time(request, (provider, model))

    def _fetched(self, request: RequestSummary, provider: str) -> None:
        """Count what a response in the background has come to; its request was counted before."""
        if request.tokens is None and not request.tools:
            return
        model = self._models.label(request.response_model or OTHER, proven=True)
        self._answered(request, (provider, model), (self._initiator(request), request.client))
        self._cost(request, provider, model)

    def _initiator(self, request: RequestSummary) -> str:
        if not self._by_initiator or request.initiator_id is None:
            return ""
        label = self._initiators.label(request.initiator_id, proven=True)
        name = request.username if label != OTHER else None
        self._usernames[label] = name[:MAX_USERNAME] if name else label
        return label

    def _cost(self, request: RequestSummary, provider: str, model: str) -> None:
        label = request.cost_label
        if label is None:
            return
        if label == _UNPRICED:
            self._unpriced.add((provider, model))
        if request.cost is not None:
            group = self._groups.label(request.groups[0], proven=True) if request.groups else ""
            self._costs.add((provider, model, group, label), float(request.cost))

    def _answered(self, request: RequestSummary, what: Labels, whose: Labels) -> None:
        for tool in request.tools:
            self._selections.add((*what, self._tools.label(tool, proven=True)))
        if request.tokens is not None:
            provider, model = what
            for used in (request.tokens, *request.additional_tokens):
                name = used.model
                by = model if name is None else self._models.label(name, proven=True)
                self._count_tokens(used, (provider, by), whose)

    def _count_tokens(self, tokens: TokenCounts, what: Labels, whose: Labels) -> None:
        add = self._tokens.add
        add((*what, "input", *whose), tokens.input)
        add((*what, "output", *whose), tokens.output)
        add((*what, "cache_read_input_tokens", *whose), tokens.cache_read)
        add((*what, "cache_write_input_tokens", *whose), tokens.cache_write)
        for kind, count in tokens.extra.items():
            add((*what, kind, *whose), count)

    def _time(self, request: RequestSummary, labels: Labels) -> None:
        self._durations.observe(labels, request.ended - request.began)
        first = request.first_byte_at
        if first is None:
            return
        if request.sent_at is not None:
            self._first_bytes.observe(labels, first - request.sent_at)
        if request.streamed and request.outcome is RequestOutcome.COMPLETED:
            tokens = request.tokens.output if request.tokens is not None else 0
            if tokens > 1:
                self._token_times.observe(labels, (request.ended - first) / (tokens - 1))

    def _inflight(self) -> dict[Labels, float]:
        """What is in flight, and a zero for what was at the snapshot before."""
        counts = dict.fromkeys(self._seen_running, 0.0)
        for (provider, model, route), number in self._running.counts.items():
            labels = (provider, self.model(model), route)
            counts[labels] = counts.get(labels, 0.0) + number
        self._seen_running.update(counts)
        return counts
