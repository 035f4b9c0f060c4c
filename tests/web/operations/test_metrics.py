"""What a server shows of itself: metrics, health, and a line for each request."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pingone_mcp.errors import Refused
from pingone_mcp.service.callers import Caller
from pingone_mcp.web.operations import health
from pingone_mcp.web.operations.health import Note, Probe, routes
from pingone_mcp.web.operations.metrics import FleetFigures, Metrics
from pingone_mcp.web.operations.requests import ServedRequest, Watching, access_line, area
from pingone_mcp.web.refusals import TurnedAway
from tests.fleets import caller
from tests.web.faces import whole_face

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
FIGURES = FleetFigures(
    connections={"active": 2, "needs_reauth": 1},
    sync_ages={"a": 60.0},
    inbox=3,
    outbox=4,
    deliveries={"failed": 2},
    webhooks={"given_up": 1},
    schedules={"failed": 2, "none": 1},
)


EVERYTHING = caller()
SERVED = ServedRequest(
    id="r1", at=NOW, method="GET", path="/x", status=200, seconds=0.1, bytes_sent=1, caller=EVERYTHING
)


async def figures() -> FleetFigures:
    return FIGURES


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def turned_away(_: Request, error: Exception) -> Response:
    assert isinstance(error, TurnedAway)
    return error.response("r1")


async def well() -> None:
    pass


@asynccontextmanager
async def serving(
    probes: dict[str, Probe] | None = None,
    notes: dict[str, Note] | None = None,
    lines: list[str] | None = None,
    who: Caller = EVERYTHING,
) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics(figures, lambda: {"answered": 7, "limited": 1, "failed": 0})
    app = Starlette(
        routes=[Route("/unified/{rest:path}", hello), *routes(probes or {}, metrics, notes or {})],
        exception_handlers={TurnedAway: turned_away},
    )
    heard = [metrics.count]
    if lines is not None:
        heard.append(lambda request: lines.append(access_line(request)))

    async def let_in(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"caller": who, "correlation_id": "r1"}
        await app(scope, receive, send)

    watched = Watching(let_in, heard, now=lambda: NOW, monotonic=lambda: 1.0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(watched), base_url="http://here") as client:
        yield client


def samples(text: str) -> dict[str, float]:
    """Return what is shown, by name and labels."""
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_count_requests_by_area_and_never_by_path() -> None:
    async with serving() as client:
        for path in ("/unified/user-directory/users/ann?query=secret", "/unified/x", "/nobody/knows/me"):
            await client.get(path)
        await client.request("BREW", "/nobody")
        shown = (await client.get("/metrics")).text
    found = samples(shown)
    assert found["pingone_mcp_http_requests_total area=unified method=GET status=200"] == 2
    assert found["pingone_mcp_http_requests_total area=other method=GET status=404"] == 1
    assert found["pingone_mcp_http_requests_total area=other method=other status=404"] == 1
    assert found["pingone_mcp_http_request_seconds_count area=unified"] == 2
    assert "ann" not in shown
    assert "nobody" not in shown


async def test_metrics_show_the_fleet_and_the_traffic_as_they_are_now() -> None:
    async with serving() as client:
        found = samples((await client.get("/metrics")).text)
    assert found["pingone_mcp_provider_requests_total outcome=limited"] == 1
    assert found["pingone_mcp_connections status=needs_reauth"] == 1
    assert found["pingone_mcp_sync_age_seconds connection=a"] == 60
    assert found["pingone_mcp_schedules outcome=failed"] == 2
    assert (found["pingone_mcp_inbox_events"], found["pingone_mcp_outbox_events"]) == (3, 4)


@pytest.mark.parametrize("who", [caller("a"), caller(tenant="acme")])
async def test_figures_of_all_are_for_those_only_who_reach_all(who: Caller) -> None:
    async with serving(who=who) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 403
    assert answer.json()["code"] == "FIGURES_OF_ALL"


async def test_a_line_of_the_log_holds_no_query_and_no_credential() -> None:
    lines: list[str] = []
    async with serving(lines=lines) as client:
        await client.get("/unified/u\u202ex?query=secret", headers={"Authorization": "Bearer pmk_a_b"})
    (line,) = lines
    assert json.loads(line) == {
        "event": "request",
        "at": "2026-06-15T12:00:00.000Z",
        "id": "r1",
        "method": "GET",
        "path": json.loads(line)["path"],
        "status": 200,
        "ms": 0.0,
        "bytes": 5,
        "caller": "key:all",
    }
    assert "secret" not in line
    assert "pmk" not in line
    assert "\u202e" not in json.loads(line)["path"]


async def test_a_credential_that_was_put_into_a_path_is_not_logged() -> None:
    lines: list[str] = []
    async with serving(lines=lines) as client:
        await client.get(f"/unified/pmk_k1_{'s' * 43}")
    assert "sss" not in lines[0]


def test_what_is_asked_for_as_a_proxy_is_asked_is_not_logged_it_may_hold_a_password() -> None:
    line = access_line(dataclasses.replace(SERVED, path="http://ann:secret@directory.example.com/ping"))
    assert json.loads(line)["path"] is None
    assert "secret" not in line


def test_whom_a_token_is_about_is_not_logged_where_it_names_no_client() -> None:
    who = dataclasses.replace(EVERYTHING, kind="access_token", client_id="ann@example.com", subject="ann@example.com")
    assert json.loads(access_line(dataclasses.replace(SERVED, caller=who)))["caller"] == "access_token"
    named = dataclasses.replace(who, client_id="desktop")
    assert json.loads(access_line(dataclasses.replace(SERVED, caller=named)))["caller"] == "desktop"


def test_a_long_path_is_logged_in_part() -> None:
    assert len(access_line(dataclasses.replace(SERVED, path="/" + "x" * 60_000))) < 500


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/c/x/mcp", "mcp"), ("/c/x/mcp/", "mcp"), ("/c/x/people", "other"), ("//unified/x", "unified"), ("", "other")],
)
def test_a_path_is_about_one_of_a_few_things(path: str, expected: str) -> None:
    assert area(path) == expected


async def test_a_client_that_goes_before_the_answer_is_counted() -> None:
    seen: list[ServedRequest] = []

    async def never(*_: object) -> None:
        await anyio.sleep_forever()

    watched = Watching(never, [seen.append])
    with anyio.move_on_after(0.01):
        await watched({"type": "http", "method": "GET", "path": "/x"}, receive, send)
    assert [one.status for one in seen] == [499]


async def receive() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def send(_: object) -> None:
    pass


def failing(error: Exception) -> Callable[[], Awaitable[None]]:
    async def probe() -> None:
        raise error

    return probe


async def test_ready_says_which_part_is_not_and_nothing_of_what_is_inside() -> None:
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger("pingone_mcp").addHandler(handler)
    probes = {"store": well, "keys": failing(Refused("secret", code="LOST")), "syncs": failing(OSError("secret"))}
    try:
        async with serving(probes) as client:
            assert (await client.get("/healthz")).json() == {"alive": True}
            answer = await client.get("/readyz")
    finally:
        logging.getLogger("pingone_mcp").removeHandler(handler)
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "parts": {"keys": "LOST", "store": "ok", "syncs": "failed"}, "notes": {}}
    assert "The part syncs is not ready" in log.getvalue()


async def test_a_part_that_does_not_answer_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", 0.01)
    with anyio.fail_after(5):
        async with serving({"store": anyio.sleep_forever, "keys": well}) as client:
            answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"keys": "ok", "store": "no answer within 0 s"}


async def test_ready_where_every_part_is() -> None:
    async with serving({"store": well}) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "parts": {"store": "ok"}, "notes": {}})


async def test_what_a_person_should_look_at_is_noted_and_makes_nothing_unready() -> None:
    async def given_up() -> str | None:
        return "1 switched off."

    async def nothing() -> str | None:
        return None

    async def unknown() -> str | None:
        raise Refused("The disk is full.")

    async with serving({"store": well}, {"webhooks": given_up, "syncs": nothing}) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["notes"]) == (200, {"webhooks": "1 switched off."})
    async with serving({"store": well}, {"webhooks": unknown}) as client:
        assert (await client.get("/readyz")).json() == {"ready": True, "parts": {"store": "ok"}, "notes": {}}


async def test_it_is_not_ready_without_the_file_of_its_keys(tmp_path: Path) -> None:
    async with whole_face(tmp_path) as face:

        async def ready() -> tuple[int, dict[str, str]]:
            answer = await face.ask("GET", "/readyz", key="")
            return answer.status, json.loads(answer.body)["parts"]

        well = {"control": "ok", "keys": "ok", "syncs": "ok"}
        assert await ready() == (200, well)
        [file] = tmp_path.rglob("control/keys")
        away = file.rename(file.with_name("away"))
        assert await ready() == (503, {**well, "keys": "KEY_FILE_LOST"})
        away.rename(file)
        assert await ready() == (200, well)
