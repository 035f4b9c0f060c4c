"""`POST /hooks/pingone/{connection}`: whoever shows the secret is answered 200, whatever came; nobody else is heard."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy.event
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from pingone_mcp.control.database import ControlUnavailable
from pingone_mcp.service.events.changes_out import ChangesOut
from pingone_mcp.service.events.hooks.work import HookWork
from pingone_mcp.tasks import background
from pingone_mcp.web.bodies import MOST_HOOK_BYTES
from pingone_mcp.web.hooks.door import HookDoor
from tests.service.events.hooks.happened import event, lines, sent
from tests.service.events.test_changes_out import sync
from tests.web.entrance import HOOK, entrance
from tests.web.faces import WholeFace, whole_face
from tests.web.premises import Heard
from tests.web.test_bodies import Sender

USER = "11111111-1111-4111-8111-111111111111"
GHOST = "3f1f7a52-9a6e-4b0a-8d5e-0e6a4d2a9c11"


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[WholeFace]:
    async with whole_face(tmp_path) as opened:
        yield opened


async def secret(face: WholeFace, *, rotate: bool = False) -> str:
    return (await face.estate.control.hook_secrets.get(face.acme.id, rotate=rotate)).get_secret_value()


async def deliver(
    face: WholeFace, body: bytes, *headers: tuple[str, str], connection: str | None = None, key: str | None = None
) -> Heard:
    shown = await secret(face) if key is None else key
    path = f"/hooks/pingone/{connection or face.acme.id}"
    return await face.ask("POST", path, *headers, body=body, key=shown)


async def pending(face: WholeFace) -> list[str]:
    return [one.event.event_id for one in await face.estate.control.inbox.pending(face.acme.id)]


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-ndjson", "image/png", ""])
async def test_every_shape_of_every_type_is_kept_and_answered_with_nothing(face: WholeFace, content_type: str) -> None:
    sandbox = face.estate.company("acme").sandbox
    events = [event(sandbox, USER) for _ in range(5)]
    bodies = [sent(*events[:2]), json.dumps(events[2]).encode(), lines(events[3:])]
    for body in bodies:
        heard = await deliver(face, body, *([("Content-Type", content_type)] if content_type else []))
        assert (heard.status, heard.body) == (200, b"")
    assert await pending(face) == [one["id"] for one in events]
    again = await deliver(face, bodies[0])
    assert (again.status, again.body) == (200, b"")
    assert len(await pending(face)) == 5


@pytest.mark.parametrize(
    "body",
    [
        *(b"no json", b'[{"id": ', b"\xff\xfe\x00", b'{"event": {"id": "x"}}', b"[" * 50_000, b"null"),
        gzip.compress(b'[{"id": "x"}]', mtime=0),
        '[{"id": "x"}]'.encode("utf-16"),
        b'[{"id": "' + b"x" * 10_000 + b'"}]',
        b'{"id": "\\u0000"}',
    ],
)
async def test_what_cannot_be_read_is_answered_200_kept_aside_and_counted(face: WholeFace, body: bytes) -> None:
    assert (await deliver(face, body)).status == 200
    assert await pending(face) == []
    assert (await face.estate.control.inbox.state(face.acme.id)).unreadable == 1
    metrics = await face.ask("GET", "/metrics")
    assert f'pingone_mcp_hook_unreadable_total{{connection="{face.acme.id}"}} 1.0' in metrics.text


async def test_people_who_run_it_hear_of_what_lies_aside_and_of_what_waits_but_of_no_names(face: WholeFace) -> None:
    async def notes() -> dict[str, str]:
        answer = await face.ask("GET", "/readyz", key="")
        assert answer.status == 200
        found: dict[str, str] = json.loads(answer.body)["notes"]
        return found

    sandbox, inbox = face.estate.company("acme").sandbox, face.estate.control.inbox
    assert await notes() == {}
    await deliver(face, b"no json")
    await deliver(face, sent(event(sandbox, USER), event(sandbox, USER)))
    assert await notes() == {"hooks": "Of what came to hooks in the last 14 days, 1 could not be read."}
    face.estate.time.passed += 3_600
    assert (await notes())["inbox"] == "Events have waited for more than an hour, of so many connections: 1."
    first, second = await inbox.pending(face.acme.id)
    await inbox.set_aside([first.number])
    assert "1 could not be read and 1 could not be worked on." in (await notes())["hooks"]
    await face.estate.administration.linking.pause(face.acme.id)
    assert "inbox" not in await notes(), "somebody has paused it"
    await face.estate.administration.linking.resume(face.acme.id)
    await inbox.done([second.number])
    assert "inbox" not in await notes()
    face.estate.time.passed += 14 * 86_400
    assert await notes() == {}


async def test_deliveries_with_another_secret_are_counted(face: WholeFace) -> None:
    await secret(face)
    for connection in (face.acme.id, GHOST, "-"):
        await deliver(face, b"[]", key="another", connection=connection)
    metrics = (await face.ask("GET", "/metrics")).text
    figures = [line for line in metrics.splitlines() if line.startswith("pingone_mcp_hook_wrong_secrets_total")]
    assert figures == [f'pingone_mcp_hook_wrong_secrets_total{{connection="{face.acme.id}"}} 1.0']


async def test_foreign_environments_are_dropped_with_200(face: WholeFace) -> None:
    foreign = event(face.estate.company("acme").sandbox, USER, environment=GHOST)
    assert (await deliver(face, sent(foreign))).status == 200
    assert await pending(face) == []


async def test_a_paused_connection_keeps_what_comes(face: WholeFace) -> None:
    await face.estate.administration.linking.pause(face.acme.id)
    assert (await deliver(face, sent(event(face.estate.company("acme").sandbox, USER)))).status == 200
    assert len(await pending(face)) == 1


async def test_without_the_secret_the_answer_is_the_same_whether_there_is_a_connection_or_not(face: WholeFace) -> None:
    good, body = await secret(face), sent(event(face.estate.company("acme").sandbox, USER))
    other = await face.estate.link("other")
    theirs = (await face.estate.control.hook_secrets.get(other.id)).get_secret_value()
    refused = [
        *[await deliver(face, body, key=wrong) for wrong in ("", "wrong", good[:-1], theirs, face.key, "x" * 20_000)],
        *[await deliver(face, body, connection=nobody) for nobody in (GHOST, "nobody", "-", "a" * 65, "x%2Fy")],
        await deliver(face, body, ("Authorization", f"Bearer {good}")),
        await face.ask("POST", "/hooks/other", body=body, key=good),
        await face.ask("GET", f"/hooks/pingone/{face.acme.id}", key=""),
    ]
    answers = {(heard.status, heard.header("www-authenticate"), *_without_id(heard)) for heard in refused}
    assert len(answers) == 1, answers
    assert {heard.status for heard in refused} == {401}
    assert await pending(face) == []
    assert not any(one in heard.text for heard in refused for one in (good, face.acme.id, "acme"))


def _without_id(heard: Heard) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = json.loads(heard.body)
    del found["correlation_id"]
    return tuple((name, str(value)) for name, value in found.items())


async def test_of_a_delivery_without_the_secret_nothing_is_read() -> None:
    async def nobody(_: str, __: str) -> bool:
        return False

    async with entrance(knock=HookDoor(nobody)) as gate:
        sender = Sender(gate, HOOK)
        await sender.run((b"content-length", b"1000000"))
        assert sender.statuses == [401]


async def test_the_secret_before_holds_for_a_day(face: WholeFace) -> None:
    first, body = await secret(face), sent(event(face.estate.company("acme").sandbox, USER))
    second = await secret(face, rotate=True)
    assert [(await deliver(face, body, key=one)).status for one in (first, second)] == [200, 200]
    face.estate.time.passed += 86_400
    assert [(await deliver(face, body, key=one)).status for one in (first, second)] == [401, 200]


async def test_a_delivery_may_have_8_mib_and_no_byte_more(face: WholeFace) -> None:
    sandbox = face.estate.company("acme").sandbox
    body = sent(event(sandbox, USER)) + b" " * MOST_HOOK_BYTES
    assert (await deliver(face, body[:MOST_HOOK_BYTES])).status == 200
    assert (await deliver(face, body[: MOST_HOOK_BYTES + 1])).status == 413
    assert len(await pending(face)) == 1


async def test_where_nothing_can_be_kept_the_provider_keeps_it(
    face: WholeFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, body = face.estate.control, sent(event(face.estate.company("acme").sandbox, USER))
    key = await secret(face)

    async def full(*_: object) -> int:
        raise ControlUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(control.inbox, "add", full)
        heard = await deliver(face, body, key=key)
        assert (heard.status, heard.header("retry-after")) == (503, "5")
    with monkeypatch.context() as broken:
        broken.setattr(control.seals, "values_evenly", full)
        assert (await deliver(face, body, key=key)).status == 503
    assert (await deliver(face, body, key=key)).status == 200
    assert len(await pending(face)) == 1


@pytest.mark.parametrize("when", ["INSERT INTO inbox", "COMMIT"])
async def test_a_full_disk_leaves_nothing_half_there_and_the_provider_keeps_it(face: WholeFace, when: str) -> None:
    events = [event(face.estate.company("acme").sandbox, USER) for _ in range(3)]
    key = await secret(face)

    def full(*given: object) -> None:
        if when == "COMMIT" or str(given[2]).startswith(when):
            raise OperationalError(when, None, sqlite3.OperationalError("database or disk is full"))

    what = "commit" if when == "COMMIT" else "before_cursor_execute"
    sqlalchemy.event.listen(Engine, what, full)
    try:
        heard = await deliver(face, sent(*events), key=key)
    finally:
        sqlalchemy.event.remove(Engine, what, full)
    assert (heard.status, heard.header("retry-after")) == (503, "5")
    assert await pending(face) == []
    assert (await deliver(face, sent(*events), key=key)).status == 200
    assert await pending(face) == [one["id"] for one in events]


@pytest.mark.parametrize(
    "strange", [b"1e400", b'"\\ud800"', b'"\\u0000"', b"9" * 400, b"[" * 500 + b"]" * 500, b'1, "id": "twice"']
)
async def test_a_strange_value_costs_nobody_else_anything(face: WholeFace, strange: bytes) -> None:
    plain = json.dumps(event(face.estate.company("acme").sandbox, USER)).encode()
    odd = plain[:-1].replace(b'"id"', b'"id": "odd", "id"', 1) + b', "x": ' + strange + b"}"
    last = event(face.estate.company("acme").sandbox, USER)
    assert (await deliver(face, b"[" + odd + b"," + json.dumps(last).encode() + b"]")).status == 200
    assert last["id"] in await pending(face)
    linked = face.acme.id
    async with background() as tasks:
        clock = face.estate.time.clock()
        await sync(face.estate, face.acme)
        work = HookWork(
            face.estate.control,
            face.estate.fleet,
            ChangesOut(face.estate.control, face.estate.fleet, clock).changed,
            tasks,
            clock,
        )
        assert await work.work(linked) >= 1
    assert await pending(face) == [], "and it can be worked on"


async def test_the_secret_opens_nothing_else(face: WholeFace) -> None:
    key = await secret(face)
    for path in ("/unified/user-directory/users", f"/c/{face.acme.id}/mcp", "/integrated-account", "/metrics"):
        assert (await face.ask("GET", path, key=key)).status == 401


async def test_a_delivery_is_posted(face: WholeFace) -> None:
    key = await secret(face)
    assert (await face.ask("PUT", f"/hooks/pingone/{face.acme.id}", body=b"[]", key=key)).status == 405
