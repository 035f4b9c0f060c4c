"""What comes to a hook is kept at once: each event once, what is foreign not at all, what is unreadable aside."""

from __future__ import annotations

import json
import logging

import pytest

from pingone_mcp.pingone.feed.events import is_foreign
from pingone_mcp.service.events.hooks.taking import HookTaking
from tests.fleets import Estate
from tests.service.events.hooks.happened import event, lines, sent

USER, ELSEWHERE = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


async def pending(serving: Estate, connection: str) -> list[str]:
    return [one.event.event_id for one in await serving.control.inbox.pending(connection)]


async def test_events_are_kept_once_in_their_order_and_heard_of(serving: Estate) -> None:
    acme, heard = await serving.link("acme"), list[str]()
    sandbox, taking = serving.company("acme").sandbox, HookTaking(serving.control, is_foreign)
    first, second, third = (event(sandbox, USER) for _ in range(3))
    with taking.on_arrival(heard.append):
        assert await taking.take(acme.id, sent(second, first)) == 2
        assert await taking.take(acme.id, lines([first, second])) == 0
        assert heard == [acme.id], "what was there already is no news"
        assert await taking.take(acme.id, sent(third, third)) == 1
    assert await taking.take(acme.id, b"[]") == 0
    assert heard == [acme.id] * 2
    assert await pending(serving, acme.id) == [second["id"], first["id"], third["id"]]
    assert taking.counts.unreadable == {}


async def test_what_is_of_foreign_environments_alone_is_dropped(serving: Estate) -> None:
    acme = await serving.link("acme")
    sandbox, taking = serving.company("acme").sandbox, HookTaking(serving.control, is_foreign)
    foreign, own, both, nowhere = (
        event(sandbox, USER, environment=ELSEWHERE),
        event(sandbox, USER, environment=sandbox.environment_id.upper()),
        event(sandbox, USER),
        event(sandbox, USER, resources=[]),
    )
    both["resources"] += foreign["resources"]
    assert await taking.take(acme.id, sent(foreign)) == 0
    assert await taking.take(acme.id, sent(foreign, own, both, nowhere)) == 3
    assert await pending(serving, acme.id) == [own["id"], both["id"], nowhere["id"]]
    everywhere = await serving.link("other", environments="all")
    assert await taking.take(everywhere.id, sent(foreign)) == 1


async def test_what_is_served_by_name_is_not_foreign(serving: Estate) -> None:
    acme = await serving.link("acme")
    sandbox, taking = serving.company("acme").sandbox, HookTaking(serving.control, is_foreign)
    await serving.control.connections.update(acme.id, settings={**acme.settings, "environments": [ELSEWHERE]})
    assert await taking.take(acme.id, sent(event(sandbox, USER))) == 0
    assert await taking.take(acme.id, sent(event(sandbox, USER, environment=ELSEWHERE))) == 1


async def test_what_cannot_be_read_is_kept_aside_with_an_alarm(
    serving: Estate, caplog: pytest.LogCaptureFixture
) -> None:
    acme, taking = await serving.link("acme"), HookTaking(serving.control, is_foreign)
    with caplog.at_level(logging.ERROR):
        assert await taking.take(acme.id, b'{"password": "s3cr3t') == 1
    [record] = caplog.records
    assert acme.id in record.getMessage()
    assert "s3cr3t" not in caplog.text
    assert await pending(serving, acme.id) == []
    assert (await serving.control.inbox.state(acme.id)).unreadable == 1
    assert await taking.take(acme.id, b'{"password": "s3cr3t') == 0, "the same bytes again"
    good = event(serving.company("acme").sandbox, USER)
    assert await taking.take(acme.id, json.dumps(["odd", good]).encode()) == 2
    assert await pending(serving, acme.id) == [good["id"]]
    assert taking.counts.unreadable == {acme.id: 3}


async def test_a_paused_connection_keeps_what_comes(serving: Estate) -> None:
    acme, taking = await serving.link("acme"), HookTaking(serving.control, is_foreign)
    await serving.administration.linking.pause(acme.id)
    assert await taking.take(acme.id, sent(event(serving.company("acme").sandbox, USER))) == 1


async def test_nothing_is_kept_for_no_connection(serving: Estate) -> None:
    taking = HookTaking(serving.control, is_foreign)
    with pytest.raises(LookupError):
        await taking.take("nobody", b"[]")
