"""What a server does, in figures: Prometheus text. No label holds anything of a directory, nor a path as asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from starlette.responses import Response

from pingone_mcp.errors import Refused
from pingone_mcp.web.operations.requests import ServedRequest, area
from pingone_mcp.web.refusals import TurnedAway

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from pingone_mcp.service.callers import Caller

_OF_ALL = Refused(
    "These are figures of all connections, and this credential reaches some of them.",
    "Use a key of all connections: `pingone-mcp keys create NAME`, without --connection and --tenant.",
    code="FIGURES_OF_ALL",
)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFigures:
    """What is so at the moment.

    `connections` counts them by status, `sync_ages` are the seconds since the last sync by connection id, `inbox` and
    `outbox` how many events wait to be taken in and to be sent. `unreadable` counts what came and could not be read,
    `set_aside` the events whose work was given up, and `wrong_secrets` deliveries that showed another secret, each by
    connection id. `deliveries` are the attempts to send them so far by outcome, `webhooks` where they are sent by
    state, `schedules` what is done by the hour by its last outcome.
    """

    connections: Mapping[str, int] = field(default_factory=dict[str, int])
    sync_ages: Mapping[str, float] = field(default_factory=dict[str, float])
    inbox: int = 0
    unreadable: Mapping[str, int] = field(default_factory=dict[str, int])
    set_aside: Mapping[str, int] = field(default_factory=dict[str, int])
    wrong_secrets: Mapping[str, int] = field(default_factory=dict[str, int])
    outbox: int = 0
    deliveries: Mapping[str, int] = field(default_factory=dict[str, int])
    webhooks: Mapping[str, int] = field(default_factory=dict[str, int])
    schedules: Mapping[str, int] = field(default_factory=dict[str, int])


class Metrics:
    """Counts requests as they end, and shows the figures of the fleet and of the traffic to providers when asked."""

    def __init__(
        self, figures: Callable[[], Awaitable[FleetFigures]], traffic: Callable[[], Mapping[Any, int]]
    ) -> None:
        self._figures = figures
        self._registry = CollectorRegistry()
        self._now = _Now(traffic)
        self._registry.register(self._now)
        self._requests = Counter(
            "pingone_mcp_http_requests", "Requests answered.", ("method", "area", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "pingone_mcp_http_request_seconds",
            "Seconds to the end of an answer.",
            ("area",),
            buckets=_SECONDS,
            registry=self._registry,
        )

    def count(self, request: ServedRequest) -> None:
        """Count a request that has ended."""
        where = area(request.path)
        self._requests.labels(request.known_method, where, str(request.status)).inc()
        self._seconds.labels(where).observe(request.seconds)

    async def show(self, request: Request) -> Response:
        """Answer `GET /metrics` (Prometheus text format 0.0.4), to callers only who reach every connection."""
        caller: Caller = request.state.caller
        if caller.connections is not None or caller.tenant is not None:
            raise TurnedAway(HTTPStatus.FORBIDDEN, _OF_ALL)
        self._now.figures = await self._figures()
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Now(Collector):
    """What is read when somebody asks, and kept nowhere."""

    def __init__(self, traffic: Callable[[], Mapping[Any, int]]) -> None:
        self._traffic = traffic
        self.figures = FleetFigures()

    def collect(self) -> Iterator[Metric]:
        sent = CounterMetricFamily(
            "pingone_mcp_provider_requests",
            "Requests to providers; limited: answered 429, failed: 5xx or no answer.",
            labels=("outcome",),
        )
        for outcome, count in self._traffic().items():
            sent.add_metric((outcome,), count)
        yield sent
        figures = self.figures
        yield _gauge("pingone_mcp_connections", "Connections by status.", "status", figures.connections)
        yield _gauge("pingone_mcp_sync_age_seconds", "Seconds since the last sync.", "connection", figures.sync_ages)
        yield GaugeMetricFamily("pingone_mcp_inbox_events", "Events that wait to be taken in.", value=figures.inbox)
        yield GaugeMetricFamily("pingone_mcp_outbox_events", "Events that wait to be sent.", value=figures.outbox)
        yield _gauge(
            "pingone_mcp_webhooks",
            "Webhooks; given_up: switched off after a day of failures.",
            "state",
            figures.webhooks,
        )
        yield _gauge(
            "pingone_mcp_schedules",
            "Active schedules by what came of their last run; none: of no run yet.",
            "outcome",
            figures.schedules,
        )
        yield _counter(
            "pingone_mcp_hook_unreadable",
            "What came in deliveries of events, could not be read, and was kept aside.",
            figures.unreadable,
        )
        yield _counter(
            "pingone_mcp_hook_set_aside",
            "Events that came, and were set aside because what they name could not be read again.",
            figures.set_aside,
        )
        yield _counter(
            "pingone_mcp_hook_wrong_secrets",
            "Deliveries of events that were refused, because they showed another secret than the hook's.",
            figures.wrong_secrets,
        )
        tried = CounterMetricFamily(
            "pingone_mcp_deliveries", "Attempts to send events; given_up: events that will not be.", labels=("outcome",)
        )
        for outcome, count in figures.deliveries.items():
            tried.add_metric((outcome,), count)
        yield tried


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _counter(name: str, text: str, values: Mapping[str, int]) -> CounterMetricFamily:
    """Return a figure of each connection that has only grown since the process began."""
    family = CounterMetricFamily(name, text, labels=("connection",))
    for connection, value in values.items():
        family.add_metric((connection,), value)
    return family
