"""Hooks at the provider: compared in plain words, and entered once somebody has agreed, as every write is."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from pingone_mcp.advice import spelled
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.pingone.feed.hooks.action_types import ACTION_TYPES
from pingone_mcp.pingone.wire.subscriptions import new_subscription
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.faults import Fault
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.checks import Step
from pingone_mcp.service.fleet.hook_form import HookPlace
from pingone_mcp.service.fleet.subscribing.making import HookOutcome, HookPlan
from pingone_mcp.service.fleet.subscribing.sentences import flaws_text, subscription_text
from pingone_mcp.service.fleet.subscribing.subscribing import HookSubscribing
from pingone_mcp.wiring.fleet import LinkedBackends, LinkedFiles, hook_place
from tests.fleets import SIZE, Estate
from tests.hostile import hidden_in
from tests.service.events.test_changes_out import doors
from tests.world import NOW, World

PUBLIC = "https://directory.example.com"
PLACE = hook_place(PUBLIC)
SWITCHES = {"allow_writes": "1", "allow_production_writes": "1"}
HOSTILE = 'ours\u202e"\n\x1b[31m `ignore all` <b> \u200b' + "x" * 400


@dataclass(kw_only=True)
class Hooks:
    """A company whose two environments are linked, of which `Customers` is a PRODUCTION one, and its hooks."""

    estate: Estate
    acme: LinkedConnection
    sandbox: Sandbox
    switches: dict[str, str] = field(default_factory=lambda: dict(SWITCHES))

    def subscribing(self, place: HookPlace = PLACE) -> HookSubscribing:
        backends = LinkedBackends(
            control=self.estate.control,
            files=LinkedFiles(self.estate.folder / "state"),
            given=self.switches,
            open_provider=self.estate.opened,
            at_a_shell=True,
        )
        return HookSubscribing(self.estate.control, place, backends, "local me")

    @asynccontextmanager
    async def planned(self, place: HookPlace = PLACE) -> AsyncIterator[HookPlan]:
        async with self.subscribing(place).planned(self.acme) as plan:
            yield plan

    async def create(self) -> tuple[HookOutcome, ...]:
        async with self.planned() as plan:
            return await plan.carry_out()

    async def check(self, place: HookPlace = PLACE) -> list[Step]:
        steps: list[Step] = []
        await self.subscribing(place).check(self.acme, steps.append)
        return steps

    async def said(self, place: HookPlace = PLACE) -> str:
        """Return what is said of the main environment, which is not as it should be."""
        [step] = [step for step in await self.check(place) if self.sandbox.environment_id in step.step]
        assert (step.ok, step.needed) == (False, False)
        return spelled(step.text)

    def natives(self, environment: str | None = None) -> list[dict[str, Any]]:
        feeds = self.sandbox.world.feeds.of(environment or self.sandbox.environment_id)
        return [feed.subscription.native for feed in feeds.values()]

    async def change(self, **changes: Any) -> None:
        """Change the only subscription of the main environment, as somebody does in PingOne."""
        [native] = self.natives()
        await self._send("PUT", f"/subscriptions/{native['id']}", {**native, **changes})

    async def add(self, **changes: Any) -> None:
        """Add a subscription to the main environment that is like the one that there is, with changes."""
        native = self.natives()[0]
        await self._send("POST", "/subscriptions", {**native, **changes})

    async def add_first(self, url: str) -> None:
        """Add a subscription that somebody has made by hand."""
        body = new_subscription("by hand", url, {"Authorization": "Bearer guessed"}, ACTION_TYPES)
        await self._send("POST", "/subscriptions", dict(body))

    async def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        async with doors(self.estate) as admin:
            assert await admin.send(method, path, body) in (200, 201)

    def writes(self) -> list[dict[str, Any]]:
        """Return the requests that changed something."""
        return [one for one in self.journal() if one["event"] == "sending"]

    def journal(self) -> list[dict[str, Any]]:
        file = self.estate.folder / "state" / "writes.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    async def secret(self) -> str:
        return (await self.estate.control.hook_secrets.get(self.acme.id)).get_secret_value()

    @property
    def url(self) -> str:
        return f"{PUBLIC}/hooks/pingone/{self.acme.id}"

    @property
    def customers(self) -> str:
        [other] = [one.id for one in self.sandbox.company.environments if one.id != self.sandbox.environment_id]
        return other


@pytest.fixture
async def hooks(serving: Estate) -> Hooks:
    options = Options(subscriptions_to_elsewhere=True)
    sandbox = Sandbox(SIZE, seed="acme", now=NOW, customers=4, base_url="https://acme.test", options=options)
    serving.worlds["acme"] = World(sandbox=sandbox, cache=serving.folder / "unused", time=serving.time)
    return Hooks(estate=serving, acme=await serving.link("acme", environments="all"), sandbox=sandbox)


# ------------------------------------------------------------------------------------------------------------ making


async def test_one_is_made_in_each_environment_as_it_is_needed_and_recorded(hooks: Hooks) -> None:
    async with hooks.planned() as plan:
        assert {one.deed for one in plan.hooks} == {"make"}
        assert hooks.natives() == [], "nothing is done before somebody agrees"
        assert hooks.writes() == []
        outcomes = await plan.carry_out()
    assert [one.problem for one in outcomes] == [None, None]
    for environment in (hooks.sandbox.environment_id, hooks.customers):
        [native] = hooks.natives(environment)
        given = {"url": hooks.url, "headers": {"Authorization": f"Bearer {await hooks.secret()}"}}
        assert native["httpEndpoint"] == given
        assert native["filterOptions"]["includedActionTypes"] == list(ACTION_TYPES)
        facts = ("name", "enabled", "protocol", "format", "verifyTlsCertificates")
        assert [native[name] for name in facts] == ["pingone-mcp: acme", True, "HTTPS", "ACTIVITY", True]
    recorded = [(one["event"], one["method"], one.get("status"), one["principal"]) for one in hooks.journal()]
    assert recorded == [("sending", "POST", None, "local me"), ("answered", "POST", 201, "local me")] * 2
    assert {one["connection"] for one in hooks.journal()} == {hooks.acme.id}
    assert await hooks.secret() not in json.dumps(hooks.journal())
    assert await hooks.secret() not in repr(plan.wanted) + repr(plan.hooks) + repr(outcomes)


async def test_what_is_there_is_left_as_it_is(hooks: Hooks) -> None:
    await hooks.create()
    before = hooks.natives()
    async with hooks.planned() as plan:
        assert ({one.deed for one in plan.hooks}, plan.does_anything) == ({"keep"}, False)
        assert [one.problem for one in await plan.carry_out()] == [None, None]
    assert hooks.natives() == before
    assert len(hooks.writes()) == 2


async def test_what_is_not_as_it_should_be_is_brought_up_to_date_and_keeps_the_rest(hooks: Hooks) -> None:
    await hooks.create()
    [native] = hooks.natives()
    population = next(iter(hooks.sandbox.state().populations))
    filters = {
        "includedActionTypes": ["FLOW.CREATED", *ACTION_TYPES[:3]],
        "includedPopulations": [{"id": population}],
        "ipAddressExposed": True,
    }
    endpoint = {"url": hooks.url, "headers": {"authorization": "Bearer old", "X-Own": "kept"}}
    payload = {"maximumPayloadLimit": {"type": "EVENTS_PER_PAYLOAD", "size": 50}}
    await hooks.change(
        name="mine",
        enabled=False,
        format="SPLUNK",
        verifyTlsCertificates=False,
        filterOptions=filters,
        httpEndpoint=endpoint,
        payloadOptions=payload,
    )
    async with hooks.planned() as plan:
        [planned] = [one for one in plan.hooks if one.deed == "change"]
        said = flaws_text(planned.flaws)
        for part in ("switched off", "SPLUNK", "certificates", "Authorization is another", "populations"):
            assert part in said
        assert all(one in said for one in ACTION_TYPES[3:])
        assert not any(one in said for one in ACTION_TYPES[:3])
        assert hooks.natives()[0]["enabled"] is False
        assert [one.problem for one in await plan.carry_out()] == [None, None]
    [after] = hooks.natives()
    assert after["id"] == native["id"]
    assert (after["name"], after["enabled"], after["format"], after["verifyTlsCertificates"]) == (
        "mine",
        True,
        "ACTIVITY",
        True,
    )
    assert after["httpEndpoint"] == {
        "url": hooks.url,
        "headers": {"X-Own": "kept", "Authorization": f"Bearer {await hooks.secret()}"},
    }
    assert after["filterOptions"].keys() == {"includedActionTypes", "ipAddressExposed", "userAgentExposed"}
    assert set(after["filterOptions"]["includedActionTypes"]) == {"FLOW.CREATED", *ACTION_TYPES}
    assert after["filterOptions"]["ipAddressExposed"] is True
    assert after["payloadOptions"] == payload
    assert all(step.ok for step in await hooks.check())


async def test_headers_of_others_that_are_not_shown_are_not_lost(hooks: Hooks) -> None:
    await hooks.create()
    endpoint = {"url": hooks.url, "headers": {"Authorization": "Bearer old", "X-Own": "kept"}}
    await hooks.change(httpEndpoint=endpoint, enabled=False)
    object.__setattr__(hooks.sandbox.options, "subscription_headers_shown", False)
    before = hooks.natives()
    [failed] = [one.problem for one in await hooks.create() if one.problem is not None]
    assert failed.code == "HIDDEN_HEADERS"
    assert hooks.natives() == before
    await hooks.change(httpEndpoint={"url": hooks.url, "headers": {"Authorization": "Bearer old"}})
    assert [one.problem for one in await hooks.create()] == [None, None]
    assert hooks.natives()[0]["httpEndpoint"]["headers"] == {"Authorization": f"Bearer {await hooks.secret()}"}


async def test_what_another_person_changes_while_this_one_reads_is_not_overwritten(hooks: Hooks) -> None:
    await hooks.create()
    await hooks.change(enabled=False)
    async with hooks.planned() as plan:
        await hooks.change(name="theirs", enabled=False)
        before = hooks.natives()
        problems = [one.problem for one in await plan.carry_out() if one.problem is not None]
    assert [problem.code for problem in problems] == ["CHANGED_MEANWHILE"]
    assert hooks.natives() == before
    assert [one.problem for one in await hooks.create()] == [None, None]


async def test_of_one_whose_answer_is_lost_nobody_says_that_it_failed(hooks: Hooks) -> None:
    async with hooks.planned() as plan:
        hooks.sandbox.faults.add("dropped_connection", method="POST", path="/subscriptions", times=None)
        outcomes = await plan.carry_out()
    assert [one.is_unknown for one in outcomes] == [True, True]


async def test_one_that_another_person_makes_meanwhile_is_not_made_twice(hooks: Hooks) -> None:
    async with hooks.planned() as plan:
        await hooks.create()
        codes = {one.problem.code for one in await plan.carry_out() if one.problem is not None}
    assert codes == {"CHANGED_MEANWHILE"}
    assert [len(hooks.natives(one)) for one in (hooks.sandbox.environment_id, hooks.customers)] == [1, 1]


@pytest.mark.parametrize(
    ("switches", "done"), [({"allow_writes": "1"}, 1), (SWITCHES, 2)], ids=["writes", "production too"]
)
async def test_production_needs_its_own_switch(hooks: Hooks, switches: dict[str, str], done: int) -> None:
    hooks.switches = switches
    async with hooks.planned() as plan:
        assert sum(one.deed == "make" for one in plan.hooks) == done
        outcomes = await plan.carry_out()
    refused = [one.problem.code for one in outcomes if one.problem is not None]
    assert refused == ["PRODUCTION_WRITES_OFF"] * (2 - done)
    assert (len(hooks.natives()), len(hooks.natives(hooks.customers))) == (1, done - 1)


async def test_nothing_is_made_where_writes_are_off(hooks: Hooks) -> None:
    hooks.switches = {"allow_production_writes": "1"}
    with pytest.raises(Refused) as refused:
        await hooks.create()
    assert refused.value.code == "WRITES_OFF"
    assert "PINGONE_ALLOW_WRITES=1" in str(refused.value)
    assert await hooks.estate.control.hook_secrets.known(hooks.acme.id) is None
    hooks.switches = dict(SWITCHES)
    await hooks.estate.control.connections.update(
        hooks.acme.id, settings={**hooks.acme.settings, "allow_writes": False}
    )
    with pytest.raises(Refused, match="Writes are off"):
        await hooks.create()
    assert hooks.natives() == []


@pytest.mark.parametrize(
    "url",
    [
        None,
        "http://127.0.0.1:8080",
        "http://localhost",
        "https://127.0.0.1",
        "https://10.1.2.3",
        "https://intranet",
        "https://server.local:8443",
        "https://[2606:4700::1111]",
    ],
)
async def test_nothing_is_made_that_pingone_cannot_reach(hooks: Hooks, url: str | None) -> None:
    with pytest.raises(Refused) as refused:
        async with hooks.planned(hook_place(url)):
            pytest.fail("it was planned")
    assert refused.value.code == "NO_PUBLIC_URL"
    assert "PINGONE_PUBLIC_URL" in str(refused.value)


async def test_the_limit_is_one_sentence_and_the_other_environment_is_done(hooks: Hooks) -> None:
    await hooks.create()
    native = hooks.natives()[0]
    for _ in range(49):
        await hooks.add(httpEndpoint={"url": "https://other.example.com/", "headers": {}})
    async with hooks.planned() as plan:
        assert {one.deed for one in plan.hooks} == {"keep"}, "fifty, but one is ours"
    feeds = hooks.sandbox.world.feeds.of(hooks.sandbox.environment_id)
    del feeds[native["id"]]
    await hooks.add(httpEndpoint={"url": "https://other.example.com/", "headers": {}})
    hooks.sandbox.world.feeds.of(hooks.customers).clear()
    problems = [one.problem for one in await hooks.create()]
    [limit] = [one for one in problems if one is not None]
    assert limit.code == "TOO_MANY_WEBHOOKS"
    assert "50 webhooks, as many as PingOne allows" in str(limit)
    assert (len(hooks.natives()), len(hooks.natives(hooks.customers))) == (50, 1)


async def test_missing_rights_are_one_sentence(hooks: Hooks) -> None:
    hooks.sandbox.withdraw("Environment Admin")
    hooks.sandbox.grant("Environment Admin", "ENVIRONMENT", hooks.customers)
    by_place = {one.planned.place.id: one.problem for one in await hooks.create()}
    problem = by_place[hooks.sandbox.environment_id]
    assert problem is not None
    assert "may not make or change the webhooks of this environment" in str(problem)
    assert "Environment Admin" in str(problem)
    assert by_place[hooks.customers] is None
    assert (len(hooks.natives()), len(hooks.natives(hooks.customers))) == (0, 1)
    hooks.sandbox.narrow(narrowing=Narrowing(configuration=False))
    assert "may not read" in str(
        {one.planned.place.id: one.problem for one in await hooks.create()}[hooks.sandbox.environment_id]
    )


async def test_a_connection_that_is_limited_to_populations_makes_none(hooks: Hooks) -> None:
    population = next(iter(hooks.sandbox.state().populations))
    settings: dict[str, Any] = {**hooks.acme.settings, "populations": [population]}
    await hooks.estate.control.connections.update(hooks.acme.id, settings=settings)
    problems = [one.problem for one in await hooks.create()]
    assert [one.code for one in problems if one is not None] == ["OUTSIDE_CONFIGURATION"] * 2
    assert hooks.natives() == []


async def test_what_fails_half_way_says_what_was_made(hooks: Hooks) -> None:
    hooks.sandbox.faults.add(Fault("server_error", times=None, method="POST", path="/subscriptions", nth=2))
    outcomes = await hooks.create()
    assert [one.problem is None for one in outcomes] == [True, False]
    problem = outcomes[1].problem
    assert isinstance(problem, Problem)
    assert "It may have happened all the same" in str(problem)
    assert [one["event"] for one in hooks.journal()] == ["sending", "answered", "sending", "unknown"]


async def test_a_list_that_ends_early_makes_no_second_one(hooks: Hooks) -> None:
    await hooks.create()
    hooks.sandbox.faults.add(Fault("wrong_count", times=None, path="/subscriptions", amount=1))
    assert all(one.problem is not None for one in await hooks.create())
    assert len(hooks.writes()) == 2


async def test_others_of_ours_are_named_and_left(hooks: Hooks) -> None:
    await hooks.create()
    await hooks.add(name=HOSTILE, enabled=False)
    old = f"https://old.example.com/hooks/pingone/{hooks.acme.id}"
    await hooks.add(name="of last year", httpEndpoint={"url": old, "headers": {}})
    async with hooks.planned() as plan:
        [planned] = [one for one in plan.hooks if one.place.id == hooks.sandbox.environment_id]
        assert planned.deed == "keep", "the best of them is as it should be"
        assert [one.name for one in planned.others] == [HOSTILE, "of last year"]
        shown = [subscription_text(one) for one in planned.others]
    assert not hidden_in(" ".join(shown))
    assert all("\n" not in one and "`" not in one and len(one) < 300 for one in shown)


# ---------------------------------------------------------------------------------------------------------- comparing


async def test_a_hook_that_is_as_it_should_be_is_a_step_of_each_environment(hooks: Hooks) -> None:
    await hooks.create()
    steps = await hooks.check()
    assert [(step.ok, step.needed) for step in steps] == [(True, False)] * 2
    assert {step.text for step in steps} == {"PingOne sends its events here, as it should"}
    assert sorted(re.sub(r" \([0-9a-f-]{36}\)", "", step.step) for step in steps) == [
        'hook of "Customers"',
        'hook of "Workforce"',
    ]
    object.__setattr__(hooks.sandbox.options, "subscription_headers_shown", False)
    [first, _] = await hooks.check()
    assert first.ok
    assert "it does not show whether the header is the right one" in first.text


async def test_none_is_expected_where_nobody_has_set_one_up(hooks: Hooks) -> None:
    nowhere = hook_place(None)
    assert await hooks.check(nowhere) == []
    assert "No webhook of PingOne leads here." in await hooks.said(), "where it is public, one is"
    assert await hooks.estate.control.hook_secrets.known(hooks.acme.id) is None, "a check makes nothing"
    await hooks.secret()
    assert "No webhook of PingOne leads here." in await hooks.said(nowhere)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enabled": False}, "it is switched off"),
        ({"format": "SPLUNK"}, "its format is SPLUNK, which cannot be read here"),
        ({"format": "NEWRELIC"}, "its format is NEWRELIC"),
        ({"verifyTlsCertificates": False}, "it does not verify TLS certificates"),
        ({"headers": {}}, "it has no header Authorization"),
        ({"headers": {"AUTHORIZATION": "Bearer another"}}, "its header Authorization is another one"),
        ({"types": ACTION_TYPES[2:]}, f"it lacks action types: {ACTION_TYPES[0]}, {ACTION_TYPES[1]}."),
        ({"narrow": {"includedApplications": [{"id": "x"}]}}, "filters of applications"),
        ({"narrow": {"includedTags": ["adminIdentityEvent"]}}, "filters of tags"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_is_not_as_it_should_be_is_said_in_plain_words(
    hooks: Hooks, changes: dict[str, Any], said: str
) -> None:
    await hooks.create()
    [native] = hooks.natives()
    if "headers" in changes:
        changes = {"httpEndpoint": {"url": hooks.url, "headers": changes["headers"]}}
    elif "types" in changes:
        changes = {"filterOptions": {"includedActionTypes": [*changes["types"]]}}
    elif "narrow" in changes:
        changes = {"filterOptions": {**native["filterOptions"], **changes["narrow"]}}
    await hooks.change(**changes)
    text = await hooks.said()
    assert said in text
    assert native["id"] in text
    assert "--create" in text
    assert "another secret" not in text
    assert await hooks.secret() not in text
    assert said in await hooks.said(hook_place(None)), "without a public URL the path is enough"


async def test_another_address_and_several_are_said(hooks: Hooks) -> None:
    await hooks.create()
    old = f"https://old.example.com/hooks/pingone/{hooks.acme.id}"
    await hooks.change(httpEndpoint={"url": old, "headers": {}})
    text = await hooks.said()
    assert "No webhook of PingOne leads here." in text
    assert old in text
    await hooks.create()
    await hooks.add(name=HOSTILE, httpEndpoint=hooks.natives()[1]["httpEndpoint"])
    text = await hooks.said()
    assert "2 webhooks lead here" in text
    assert not hidden_in(text)


async def test_a_secret_that_was_rotated_is_missed_at_the_provider(hooks: Hooks) -> None:
    await hooks.create()
    await hooks.estate.control.hook_secrets.get(hooks.acme.id, rotate=True)
    assert "its header Authorization is another one" in await hooks.said()
    await hooks.create()
    assert all(step.ok for step in await hooks.check())


async def test_one_that_leads_here_without_a_secret_is_refused_and_said(hooks: Hooks) -> None:
    await hooks.add_first(f"{PUBLIC}/hooks/pingone/{hooks.acme.id}")
    assert "no secret was made for it" in await hooks.said()


async def test_what_may_not_be_read_cannot_be_compared(hooks: Hooks) -> None:
    await hooks.create()
    hooks.sandbox.withdraw("Environment Admin", "Configuration Read Only")
    hooks.sandbox.grant("Identity Data Admin")
    hooks.sandbox.grant("Environment Admin", "ENVIRONMENT", hooks.customers)
    steps = await hooks.check()
    assert all(not step.needed for step in steps)
    [step] = [step for step in steps if not step.ok]
    assert "cannot be compared" in step.text
    hooks.sandbox.faults.add(Fault("server_error", times=None, path="/subscriptions"))
    assert all("cannot be compared just now" in step.text for step in await hooks.check())


async def test_only_urls_that_end_in_the_path_of_the_connection_are_ours(hooks: Hooks) -> None:
    await hooks.create()
    path = f"/hooks/pingone/{hooks.acme.id}"
    for url in (f"{PUBLIC}/?x={path}", f"{PUBLIC}{path}/more", f"{PUBLIC}/hooks/pingone/other", "https://[::1"):
        await hooks.add(httpEndpoint={"url": url, "headers": {}})
    assert all(step.ok for step in await hooks.check())
    same = replace(PLACE, base="https://DIRECTORY.example.com:443")
    assert all(step.ok for step in await hooks.check(same)), "the same place, written otherwise"
