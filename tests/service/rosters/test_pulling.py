"""A roster is pulled from its source: what was not read whole replaces nothing, and a token goes to its URL alone."""

from __future__ import annotations

import dataclasses

import anyio
import pytest
from pydantic import SecretStr

from pingone_mcp.errors import NotFound, Refused
from pingone_mcp.service.rosters import pulling
from pingone_mcp.service.rosters.pulling import NotPulled, RosterPulls
from pingone_mcp.service.rosters.shelf import Shelves
from tests.service.rosters.conftest import Answered, Office, Slow, user

URL, ELSEWHERE = "https://crm.example.com/scim/v2/Users", "https://elsewhere.example.com/Users"
TOKEN = SecretStr("t0ken")


async def sourced(office: Office, name: str = "crm", token: SecretStr | None = TOKEN) -> None:
    await office.desk.pulls.set_source(office.linked.id, name, URL, token)


async def pull(office: Office, name: str = "crm") -> int | None:
    return (await office.desk.pulls.pull(office.linked.id, name)).roster.accounts


async def test_users_become_the_accounts_of_a_roster(office: Office) -> None:
    await sourced(office)
    before = await office.find("crm")
    assert (before.source, before.url, before.accounts, before.reason) == ("scim", URL, None, None)
    office.answers[URL] = Answered(users=(user("ann"), user("bo", active=False)), total=2)
    office.hands.go(minutes=5)
    assert await pull(office) == 2
    assert office.asked == [(URL, "t0ken")]
    assert office.accounts("crm") == ["ann@example.com", "bo@example.com"]
    after = await office.find("crm")
    assert (after.received_at, after.tried_at, after.reason) == (office.hands.time, office.hands.time, None)


async def test_what_no_roster_needs_is_not_kept(office: Office) -> None:
    await sourced(office)
    secrets = {"password": "hush", "x509Certificates": [{"value": "hush"}], "addresses": [{"locality": "hush"}]}
    office.answers[URL] = Answered(users=(user("ann", **secrets),))
    await pull(office)
    found = office.shelf.read("crm")
    assert found is not None
    assert b"hush" not in found[1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "No answer came. Look at the network."),
        (Answered(users=(user("bo"),), is_whole=False, reason="Page 2 did not come."), "Page 2 did not come."),
        (Answered(users=(user("bo"),), is_whole=False), "The list was not read whole."),
        (Answered(users=(user("bo"),), total=3), "Of 3 users 1 were read."),
        (Answered(users=({"id": "1"},), total=1), "None of the entries has an email"),
    ],
)
async def test_what_was_not_read_whole_replaces_nothing_and_the_roster_says_why(
    office: Office, answer: Answered | None, said: str
) -> None:
    await sourced(office)
    office.answers[URL] = Answered(users=(user("ann"),))
    await pull(office)
    received = office.hands.time
    del office.answers[URL]
    if answer is not None:
        office.answers[URL] = answer
    office.hands.go(hours=1)
    with pytest.raises(NotPulled, match=said):
        await pull(office)
    found = await office.find("crm")
    assert (found.accounts, found.received_at, found.tried_at) == (1, received, office.hands.time)
    assert said in str(found.reason)
    assert office.accounts("crm") == ["ann@example.com"]
    office.answers[URL] = Answered(users=(user("ann"), user("cy")))
    assert await pull(office) == 2
    assert (await office.find("crm")).reason is None


async def test_a_list_that_takes_too_long_was_not_read_whole(office: Office) -> None:
    await sourced(office)
    office.slow = Slow()
    office.hands.clock = dataclasses.replace(office.hands.clock, within=lambda _: anyio.move_on_after(0))
    shelves = Shelves(office.files.own)
    records, keeping = office.control.rosters, office.desk.keeping
    hasty = RosterPulls(records, keeping, shelves, office.applications, office.hands.clock)
    with pytest.raises(NotPulled, match="not read within 40 minutes"):
        await hasty.pull(office.linked.id, "crm")
    assert "40 minutes" in str((await office.find("crm")).reason)


async def test_a_list_of_nobody_that_is_whole_is_one(office: Office) -> None:
    await sourced(office)
    office.answers[URL] = Answered(total=0)
    assert await pull(office) == 0


async def test_a_token_goes_to_no_other_url(office: Office) -> None:
    await sourced(office)
    with pytest.raises(Refused, match="was given for another URL") as refused:
        await office.desk.pulls.set_source(office.linked.id, "crm", ELSEWHERE, None)
    assert refused.value.code == "SECRET_NEEDED"
    assert (await office.find("crm")).url == URL
    await sourced(office, token=None)
    office.answers[URL] = office.answers[ELSEWHERE] = Answered(users=(user("ann"),))
    await pull(office)
    await office.desk.pulls.set_source(office.linked.id, "crm", ELSEWHERE, SecretStr("another"))
    await pull(office)
    await office.desk.pulls.set_source(office.linked.id, "crm", URL, SecretStr(""))
    await pull(office)
    assert office.asked == [(URL, "t0ken"), (ELSEWHERE, "another"), (URL, None)]


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example.com/Users",
        "https://127.0.0.1/Users",
        "https://10.0.0.1/Users",
        "https://169.254.169.254/latest",
        "https://localhost/Users",
        "https://user:pass@crm.example.com/Users",
        "https://crm.example.com/Users#x",
        "https://crm.example.com/Users?token=x",
        "ftp://crm.example.com",
        "file:///etc/passwd",
        "",
    ],
)
async def test_only_public_hosts_are_sources(office: Office, url: str) -> None:
    with pytest.raises(Refused, match="no https URL of a public host"):
        await office.desk.pulls.set_source(office.linked.id, "crm", url, TOKEN)
    assert await office.desk.keeping.listed(office.linked.id) == []
    record = await office.control.rosters.set_source(office.linked.id, "crm", url, TOKEN)  # as another process did it
    assert record.url == url
    if "?" not in url:
        with pytest.raises(NotPulled, match="no https URL of a public host"):
            await pull(office)
        assert office.asked == []


@pytest.mark.parametrize("token", ["to ken", "a\r\nX: y", "ü", "\0", "x" * 8_193])
async def test_a_token_that_is_none_is_refused_and_not_repeated(office: Office, token: str) -> None:
    with pytest.raises(Refused, match="no bearer token") as refused:
        await sourced(office, token=SecretStr(token))
    assert token not in str(refused.value)


async def test_what_is_pulled_is_not_pushed_and_what_is_pushed_is_not_pulled(office: Office) -> None:
    await office.push("crm", "ann@example.com")
    with pytest.raises(Refused, match="no source to pull it from"):
        await pull(office)
    await sourced(office)
    assert office.accounts("crm") == ["ann@example.com"], "its last list stays until one was pulled"
    assert (await office.find("crm")).accounts == 1
    with pytest.raises(Refused, match="is pulled from its application"):
        await office.push("crm", "bo@example.com")
    with pytest.raises(NotFound):
        await pull(office, "other")


async def test_who_pulls_at_once_reads_once(office: Office) -> None:
    await sourced(office)
    office.slow = slow = Slow()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(pull, office)
        await slow.asked.wait()
        for _ in range(20):  # behind the looks at control data that each of them begins with
            await office.control.rosters.listed(office.linked.id)
        await anyio.wait_all_tasks_blocked()
        slow.may_answer.set()
    assert office.asked == [(URL, "t0ken")]


async def test_of_one_connection_a_few_lists_are_read_at_once(office: Office) -> None:
    names = [f"r{number}" for number in range(5)]
    for name in names:
        await office.desk.pulls.set_source(office.linked.id, name, URL, TOKEN)
    office.slow = slow = Slow()
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(office.desk.pulls.pull, office.linked.id, name)
        await slow.asked.wait()
        while len(office.asked) < pulling.AT_ONCE:  # noqa: ASYNC110 - nobody says so
            await anyio.sleep(0.01)
        await anyio.wait_all_tasks_blocked()
        assert len(office.asked) == pulling.AT_ONCE
        slow.may_answer.set()
    assert len(office.asked) == len(names)
    assert [(await office.find(name)).accounts for name in names] == [1] * len(names)


async def test_a_pull_goes_on_when_its_caller_leaves(office: Office) -> None:
    office.slow = slow = Slow()
    await sourced(office)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pull, office)
        await slow.asked.wait()
        tasks.cancel_scope.cancel()
    slow.may_answer.set()
    assert await pull(office) == 1
    assert office.accounts("crm") == ["ann@example.com"]


async def test_a_pull_of_a_source_that_was_changed_or_removed_meanwhile_replaces_nothing(office: Office) -> None:
    async def change() -> None:
        await office.desk.pulls.set_source(office.linked.id, "crm", ELSEWHERE, SecretStr("another"))

    async def remove() -> None:
        await office.desk.keeping.remove(office.linked.id, "crm")

    for act, said in ((change, "was changed"), (remove, "was removed")):
        office.slow = slow = Slow()
        await sourced(office)
        async with anyio.create_task_group() as tasks:

            async def refused(said: str = said) -> None:
                with pytest.raises((Refused, NotFound), match=said):
                    await pull(office)

            tasks.start_soon(refused)
            await slow.asked.wait()
            await act()
            slow.may_answer.set()
        assert office.shelf.names() == ()
        if said == "was changed":
            assert (await office.find("crm")).reason is None
            await office.desk.keeping.remove(office.linked.id, "crm")


async def test_no_answer_and_no_repr_has_the_token(office: Office) -> None:
    await sourced(office)
    shown = [await office.find("crm"), await office.control.rosters.get(office.linked.id, "crm")]
    assert "t0ken" not in repr(shown)
