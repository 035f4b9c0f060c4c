"""What is new in a roster or its roles since a schedule's own last look at it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.tables import SCHEDULES
from pingone_mcp.control.watching.schedules import ScheduleRecord
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.events.record_events import LARGEST
from pingone_mcp.service.reviews.drift import check_drift
from pingone_mcp.service.schedules import news as news_module
from pingone_mcp.service.schedules import watches
from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, ScheduleChange
from tests.fleets import Estate
from tests.service.events.receivers import URL
from tests.service.events.test_changes_out import disable, sync
from tests.service.schedules.hours import (
    at_its_time,
    done,
    everybody,
    kept,
    new_usernames,
    news,
    scheduled,
    working,
    write_roster,
)

OLD = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


async def watched(serving: Estate, **arguments: Any) -> tuple[LinkedConnection, ScheduleRecord]:
    """Return a connection with a copy, a roster of everybody, a webhook, and the schedule that checks it."""
    acme = await serving.link("acme", tenant="customer")
    await serving.control.webhooks.create(target_url=URL, tenant="customer")
    await sync(serving, acme)
    write_roster(serving, everybody(serving))
    return acme, await scheduled(serving, acme, **arguments)


async def test_the_first_check_is_what_the_next_one_is_compared_with(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    before = await disable(serving, 0)
    await sync(serving, acme)
    first = await done(serving, schedule)
    assert (first.outcome, await news(serving)) == ("baseline", [])
    assert (first.summary or "").startswith("The first check found 1 finding;")
    same = await done(serving, schedule)
    assert (same.outcome, await news(serving)) == ("nothing_new", [])
    assert "0 new, 0 resolved, 1 in all" in (same.summary or "")
    user = await disable(serving, 0)
    await sync(serving, acme)
    found = await done(serving, schedule)
    assert (found.outcome, "1 new, 0 resolved, 2 in all" in (found.summary or "")) == ("new", True)
    [event] = await news(serving)
    assert new_usernames(event) == [user["username"]] != [before["username"]]
    assert (await done(serving, schedule)).outcome == "nothing_new"
    assert len(await news(serving)) == 1


async def test_the_event_says_what_is_new_since_when_and_of_which_copy(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    await done(serving, schedule)
    user = await disable(serving, 0)
    await sync(serving, acme)
    backend = await (await serving.fleet.current(acme)).backend()
    found = await done(serving, schedule)
    _, state = await backend.replica.read(lambda _: None)
    [event] = await news(serving)
    payload: dict[str, Any] = dict(event.payload)
    new = payload.pop("new")
    assert new.pop("status_mismatches") == [
        {
            "account": {
                "line": new_line(serving, user),
                "email": user["email"],
                "username": user["username"],
                "active": True,
            },
            "person": {
                "id": user["id"],
                "username": user["username"],
                "email": user["email"],
                "name": f"{user['name']['given']} {user['name']['family']}",
                "status": "inactive",
                "status_reasons": ["disabled"],
                "matched_on": ["email", "username"],
            },
        }
    ]
    assert set(map(len, new.values())) == {0}
    counts, changes = payload.pop("counts"), payload.pop("changes")
    assert (counts["status_mismatches"], counts["entries"]) == (1, len(everybody(serving)) + 1)
    assert {name: count for name, count in changes.items() if count} == {"new": 1, "new_status_mismatches": 1}
    assert found.summary is not None
    since = found.summary.split()[1].removesuffix(":")
    assert timestamp(event.created_at) > since
    assert payload == {
        "integrated_account_id": acme.id,
        "schedule_id": schedule.id,
        "kind": "drift",
        "roster": "crm",
        "roster_at": written_at(serving),
        "checked_at": timestamp(event.created_at),
        "since": since,
        "is_comparable": True,
        "reason": None,
        "unsure": 0,
        "is_whole": True,
        "gaps": [],
        "notes": [],
        "copy": {"synced_at": timestamp(state.synced_at), "age_s": state.age_seconds},
    }
    assert event.connection_id == acme.id


def written_at(serving: Estate) -> str:
    return timestamp(datetime.fromtimestamp((serving.folder / "rosters" / "crm.json").stat().st_mtime, UTC))


async def test_a_roster_that_nobody_renews_is_not_compared_without_saying_how_old_it_is(serving: Estate) -> None:
    _, schedule = await watched(serving)
    os.utime(serving.folder / "rosters" / "crm.json", (OLD, OLD))
    first = await done(serving, schedule)
    same = await done(serving, schedule)
    assert (first.outcome, same.outcome) == ("baseline", "nothing_new")
    for one in (first, same):
        assert (one.summary or "").endswith(" The roster is of 2026-01-02T03:04:05.000Z.")


def new_line(serving: Estate, user: dict[str, Any]) -> int:
    rows = json.loads((serving.folder / "rosters" / "crm.json").read_text())
    return 1 + next(number for number, row in enumerate(rows) if row["username"] == user["username"])


async def test_what_is_resolved_is_counted_and_is_no_news(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    gone = everybody(serving)[0]
    write_roster(serving, [*everybody(serving), {"username": "stranger", "email": "s@example.org"}])
    await done(serving, schedule)
    write_roster(serving, everybody(serving))
    found = await done(serving, schedule)
    assert (found.outcome, "0 new, 1 resolved, 0 in all" in (found.summary or "")) == ("nothing_new", True)
    write_roster(serving, [one for one in everybody(serving) if one != gone])
    assert (await done(serving, schedule)).outcome == "new"
    [event] = await news(serving)
    new: Any = event.payload["new"]
    assert [row["person"]["username"] for row in new["unexpected"]] == [gone["username"]]
    assert acme.id == event.payload["integrated_account_id"]


async def test_a_person_who_looks_in_between_swallows_nothing_and_is_swallowed_nothing(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    backend = await (await serving.fleet.current(acme)).backend()
    accounts = backend.rosters.find("crm")
    await done(serving, schedule)
    assert (await check_drift(backend, accounts)).since_last is None, "of a schedule's check a person's knows nothing"
    user = await disable(serving, 0)
    await sync(serving, acme)
    theirs = (await check_drift(backend, accounts)).since_last
    assert theirs is not None
    assert theirs.counts["new"] == 1
    assert (await done(serving, schedule)).outcome == "new"
    [event] = await news(serving)
    assert new_usernames(event) == [user["username"]]


async def test_two_schedules_of_one_roster_each_have_their_own_last_look(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    other = await scheduled(serving, acme, tell_first=True)
    await done(serving, schedule)
    await disable(serving, 0)
    await sync(serving, acme)
    assert (await done(serving, other)).outcome == "baseline"
    assert (await done(serving, schedule)).outcome == "new"
    first, later = await news(serving)
    assert (first.payload["schedule_id"], first.payload["since"], first.payload["changes"]) == (other.id, None, None)
    assert len(new_usernames(first)) == 1, "all that there is, where that is asked for"
    assert later.payload["schedule_id"] == schedule.id


async def test_a_check_that_compared_nobody_is_no_check(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    await done(serving, schedule)
    write_roster(serving, [])
    empty = await done(serving, schedule)
    assert (empty.outcome, "the roster is empty" in (empty.summary or "")) == ("compared_nobody", True)
    [event] = await news(serving)
    assert (event.payload["is_comparable"], event.payload["changes"]) == (False, None)
    await done(serving, schedule)
    assert len(await news(serving)) == 1, "it is said once"
    write_roster(serving, [{"username": "stranger", "email": "s@example.org"}])
    unlike = await done(serving, schedule)
    assert (unlike.outcome, "fits anybody" in (unlike.summary or "")) == ("compared_nobody", True)
    user = await disable(serving, 0)
    await sync(serving, acme)
    write_roster(serving, [*everybody(serving), {"username": user["username"], "email": user["email"], "active": True}])
    assert (await done(serving, schedule)).outcome == "new", "compared with what was found before all that"
    *_, last = await news(serving)
    assert new_usernames(last) == [user["username"]]


async def test_a_first_check_that_compared_nobody_is_no_beginning(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    write_roster(serving, [])
    assert (await done(serving, schedule)).outcome == "compared_nobody"
    write_roster(serving, everybody(serving))
    assert (await done(serving, schedule)).outcome == "baseline"
    found = await done(serving, await scheduled(serving, acme, match_on=["external_id"]))
    assert (found.outcome, "has an identity to look for" in (found.summary or "")) == ("compared_nobody", True)


async def test_what_cannot_be_compared_is_said_and_is_never_nothing_new(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    await done(serving, schedule)
    await disable(serving, 0)
    reconnect = serving.administration.linking.reconnect
    await sync(serving, await reconnect(acme.id, {"populations": [population(serving)]}, lambda _: None))
    found = await done(serving, schedule)
    assert found.outcome == "not_comparable"
    assert "another part of the directory" in (found.summary or "")
    assert "what is missing may be there" in (found.summary or "")
    [event] = await news(serving)
    assert (event.payload["is_comparable"], event.payload["is_whole"]) == (False, False)
    assert event.payload["gaps"]
    assert event.payload["new"] == {kind: [] for kind in event.payload["new"]}  # type: ignore[union-attr] # an object
    assert (await done(serving, schedule)).outcome == "nothing_new", "this one is what the next is compared with"


def population(serving: Estate) -> str:
    found: str = next(iter(serving.company("acme").sandbox.users()))["population"]["id"]
    return found


async def test_checks_that_expect_other_groups_are_not_compared(serving: Estate) -> None:
    acme, _ = await watched(serving)
    state = serving.company("acme").sandbox.state()
    one, other, *_ = [group.record["name"] for group in state.groups.values()]
    schedule = await scheduled(serving, acme, expected_group=one)
    assert (await done(serving, schedule)).outcome == "baseline"
    # The group of this name is another one now, with other members.
    async with serving.control.database.write() as connection:
        await connection.execute(
            SCHEDULES.update()
            .where(SCHEDULES.c.id == schedule.id)
            .values(arguments={"roster": "crm", "expected_group": other})
        )
    found = await done(serving, schedule)
    assert (found.outcome, "another group" in (found.summary or "")) == ("not_comparable", True)


async def test_other_arguments_begin_with_a_first_check_again(serving: Estate) -> None:
    _, schedule = await watched(serving)
    after = await done(serving, schedule)
    use = ConnectionSchedules(serving.control, kinds_of())
    changed = await use.change(after, ScheduleChange(arguments={"roster": "crm", "match_on": ["username"]}))
    assert (await done(serving, changed)).outcome == "baseline"


async def test_users_beyond_those_that_are_kept_are_said(serving: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "KNOWN_UNEXPECTED", 3)
    _, schedule = await watched(serving)
    before = len(everybody(serving))
    write_roster(serving, everybody(serving)[:10])
    await done(serving, schedule)
    found = await done(serving, schedule)
    assert found.outcome == "unsure"
    beyond = before - 13
    assert f"Of {beyond} findings it is not known whether they are new" in (found.summary or "")


async def test_what_people_wrote_is_cleaned_and_an_event_is_bounded(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    await done(serving, schedule)
    hidden = "Eve\u202e\u200b\x07" + "x" * 5_000
    strangers = [{"username": f"n{n}", "email": f"n{n}@example.org", "name": hidden} for n in range(300)]
    write_roster(serving, [*everybody(serving), *strangers])
    assert (await done(serving, schedule)).outcome == "new"
    [event] = await news(serving)
    new: Any = event.payload["new"]
    changes: Any = event.payload["changes"]
    assert changes["new_missing"] == 300
    assert 0 < len(new["missing"]) < news_module.SHOWN
    assert len(json.dumps(event.payload)) <= LARGEST
    write_roster(serving, [*everybody(serving), *strangers[:1]], name="c\u202erm")
    await done(serving, await scheduled(serving, acme, roster="c\u202erm", tell_first=True))
    *_, last = await news(serving)
    assert last.payload["roster"] == "crm", "who names files may hide something too"
    name = new["missing"][0]["account"]["name"]
    assert name.startswith("Evexxx")
    assert len(name) <= 4_097
    assert acme.id == event.connection_id


async def test_of_each_kind_the_first_hundred_are_shown(serving: Estate) -> None:
    _, schedule = await watched(serving)
    await done(serving, schedule)
    write_roster(serving, [*everybody(serving), *({"username": f"n{n}"} for n in range(150))])
    await done(serving, schedule)
    [event] = await news(serving)
    new: Any = event.payload["new"]
    assert [row["account"]["username"] for row in new["missing"]] == [f"n{n}" for n in range(100)]


async def test_a_roster_or_a_copy_that_is_not_there_is_a_failure_that_says_what_to_do(serving: Estate) -> None:
    acme = await serving.link("acme")
    schedule = await scheduled(serving, acme)
    missing = await done(serving, schedule)
    assert (missing.outcome, "roster" in (missing.summary or "")) == ("failed", True)
    write_roster(serving, [{"username": "x"}])
    uncopied = await done(serving, schedule)
    assert (uncopied.outcome, "local copy" in (uncopied.summary or "")) == ("failed", True)
    roles = await done(serving, await scheduled(serving, acme, "role_drift"))
    assert (roles.outcome, "PINGONE_ROLES_FILE" in (roles.summary or "")) == ("failed", True)
    assert await news(serving) == []


async def test_roles_are_watched_in_the_same_way(serving: Estate) -> None:
    acme, _ = await watched(serving)
    sandbox = serving.company("acme").sandbox
    group = next(iter(sandbox.state().groups.values())).record["name"]
    (serving.folder / "roles.toml").write_text(f"[[rule]]\nrole = 'reader'\ngroup = '{group}'\n")
    rows = [{**one, "roles": ["owner"] if number < 2 else []} for number, one in enumerate(everybody(serving))]
    write_roster(serving, rows)
    schedule = await scheduled(serving, acme, "role_drift")
    assert (await done(serving, schedule)).outcome == "baseline"
    assert (await done(serving, schedule)).outcome == "nothing_new"
    rows[5]["roles"] = ["Owner", "auditor"]
    write_roster(serving, rows)
    found = await done(serving, schedule)
    assert (found.outcome, "3 new" in (found.summary or "")) == ("new", True)
    [event] = await news(serving)
    new: Any = event.payload["new"]
    assert [(row["account"]["username"], row["role"]) for row in new["extra"]] == [
        (rows[5]["username"], "Owner"),
        (rows[5]["username"], "auditor"),
    ]
    assert [row["role"] for row in new["unruled_roles"]] == ["auditor"]
    assert (event.payload["kind"], event.payload["is_comparable"]) == ("role_drift", True)
    write_roster(serving, [])
    assert (await done(serving, schedule)).outcome == "compared_nobody"


async def test_what_was_found_stands_sealed_in_control_data(serving: Estate) -> None:
    acme, schedule = await watched(serving)
    user = await disable(serving, 0)
    await sync(serving, acme)
    await done(serving, schedule)
    async with serving.control.database.read() as connection:
        [row] = (await connection.execute(select(SCHEDULES))).all()
    assert user["username"] not in repr(row)
    assert user["username"].encode() in (await serving.control.schedules.found(await kept(serving, schedule)) or b"")


async def test_what_was_kept_and_is_damaged_cannot_be_compared(serving: Estate) -> None:
    _, schedule = await watched(serving)
    await done(serving, schedule)
    for found in (b"", b"null\n", (await serving.control.schedules.found(schedule) or b"")[:-1]):
        now = await at_its_time(serving, schedule)
        await serving.control.schedules.settle(now, outcome="new", summary="", next_at=now.next_at, found=found)
        async with working(serving) as schedules:
            await schedules.do(await kept(serving, schedule))
        assert (await kept(serving, schedule)).outcome == "not_comparable"
