"""The sender held to what is known of PingOne's, line by line; no time passes but by the clock of the sandbox."""

from __future__ import annotations

import json
from dataclasses import replace

import anyio
import pytest

from pingone_mcp.sandbox.company.roles import BY_NAME
from pingone_mcp.sandbox.options import Options
from tests.sandbox.webhooks.receiver import ACTIONS, SECRET, TARGET, subscribed

pytestmark = pytest.mark.anyio
DAY = 86_400.0


async def test_an_event_comes_as_an_array_with_the_configured_headers() -> None:
    async with subscribed() as world:
        await world.subscribe()
        [event_id] = world.happen()
        assert await world.deliver() == [200]
        [request] = world.receiver.requests
        assert (request.path, request.ids()) == ("/hooks", [event_id])
        assert request.headers["authorization"] == SECRET
        assert request.headers["content-type"] == "application/json"
        assert "user-agent" not in request.headers
        assert not {name for name in request.headers if "signature" in name or "timestamp" in name}
        assert await world.deliver() == []
        assert world.sandbox.sender.waiting() == 0


async def test_what_is_sent_is_what_the_audit_log_shows() -> None:
    async with subscribed(Options(webhook_events="whole")) as world:
        await world.subscribe()
        [event_id] = world.happen()
        await world.deliver()
        shown = (await world.client.get(f"/activities/{event_id}")).json()
        [sent] = world.receiver.requests[0].rows()
        assert shown.pop("source") == {"ipAddress": "192.0.2.20", "userAgent": "Mozilla/5.0"}
        base = f"{world.sandbox.base_url}/v1/"
        assert sent == json.loads(json.dumps(shown).replace("https://api.example.net/v1/", base))


async def test_an_event_has_the_members_of_the_recorded_delivery() -> None:
    async with subscribed() as world:
        await world.subscribe(filterOptions={"includedActionTypes": [*ACTIONS, "USER.ACCESS_DENIED"]})
        world.sandbox.administration().disable_user(0)
        world.sandbox.administration().sign_on(0, allowed=False)
        await world.deliver()
        switched, refused = world.receiver.requests[0].rows()
        assert list(switched) == "_embedded action actors id recordedAt resources result".split()
        assert switched["action"] == {"type": "USER.UPDATED"}
        assert switched["_embedded"] == {"modifiedAttributes": ["enabled"]}
        assert switched["result"]["description"].startswith("Updated enabled for User ")
        assert refused["_embedded"] == {}
        assert refused["result"] == {"description": "Failed role access control", "status": "FAILED"}


async def test_an_event_names_no_address_unless_the_subscription_exposes_it() -> None:
    async with subscribed() as world:
        for exposed in ({}, {"ipAddressExposed": True}, {"ipAddressExposed": True, "userAgentExposed": True}):
            await world.subscribe(filterOptions={"includedActionTypes": ACTIONS} | exposed)
        world.happen()
        await world.deliver()
        sources = [request.rows()[0].get("source") for request in world.receiver.requests]
        address = {"ipAddress": "192.0.2.20"}
        assert sources == [None, address, address | {"userAgent": "Mozilla/5.0"}]


async def test_a_change_over_the_api_is_sent_too() -> None:
    async with subscribed() as world:
        await world.subscribe()
        user_id = next(world.sandbox.users())["id"]
        await world.client.put(f"/users/{user_id}/enabled", json={"enabled": False})
        await world.deliver()
        [event] = world.receiver.requests[0].rows()
        assert event["resources"][0]["id"] == user_id
        assert list(event["actors"]) == ["client"], "a worker application acts for nobody"
        assert event["_embedded"] == {"modifiedAttributes": ["enabled"]}


async def test_a_membership_is_named_by_its_address_and_a_role_by_its_user() -> None:
    async with subscribed() as world:
        actions = ["MEMBER_OF_GROUP.CREATED", "ROLE_ASSIGNMENT.CREATED"]
        await world.subscribe(filterOptions={"includedActionTypes": actions})
        state, user = world.sandbox.state(), next(world.sandbox.users())
        group = next(one for one in state.groups.values() if one.record["name"] == "Finance")
        await world.client.post(f"/users/{user['id']}/memberOfGroups", json={"id": group.id})
        role_id = BY_NAME["Environment Admin"].id
        held = {"role": {"id": role_id}, "scope": {"type": "ENVIRONMENT", "id": state.id}}
        made = (await world.client.post(f"/users/{user['id']}/roleAssignments", json=held)).json()
        await world.deliver()
        membership, assignment = (row for request in world.receiver.requests for row in request.rows())
        [resource] = membership["resources"]
        assert (resource["type"], resource["name"]) == ("MEMBER_OF_GROUP", "Finance")
        assert "population" not in resource
        assert resource["href"].endswith(f"/users/{user['id']}/memberOfGroups/{group.id}")
        assert resource["id"] not in {user["id"], group.id}
        [resource] = assignment["resources"]
        assert (resource["type"], resource["id"], resource["name"]) == ("USER", user["id"], user["username"])
        assert resource["href"].endswith(f"/users/{user['id']}/roleAssignments/{made['id']}")
        assert assignment["result"]["description"] == (
            f"Created role assignment '{made['id']}' for role '{role_id}' scoped for ENVIRONMENT '{state.id}'"
        )


async def test_a_deleted_user_is_still_named() -> None:
    async with subscribed() as world:
        await world.subscribe()
        user = world.sandbox.state().user(0)
        world.sandbox.administration().delete_user(0)
        await world.deliver()
        [resource] = world.receiver.requests[0].rows()[0]["resources"]
        assert (resource["name"], resource["population"]) == (user["username"], user["population"])
        assert (await world.client.get(f"/users/{resource['id']}")).status_code == 404


async def test_five_hundred_events_come_at_once_and_the_rest_after_them() -> None:
    async with subscribed() as world:
        await world.subscribe()
        made = world.happen(1_203)
        assert await world.deliver() == [200, 200, 200]
        assert world.receiver.ids() == [made[:500], made[500:1_000], made[1_000:]]


@pytest.mark.parametrize(("type_", "size", "most"), [("EVENTS_PER_PAYLOAD", 7, 7), ("KB_PER_PAYLOAD", 2, 3)])
async def test_a_subscription_may_want_less_at_once(type_: str, size: int, most: int) -> None:
    async with subscribed() as world:
        await world.subscribe(payloadOptions={"maximumPayloadLimit": {"type": type_, "size": size}})
        made = world.happen(20)
        await world.deliver()
        assert [one for ids in world.receiver.ids() for one in ids] == made
        assert max(len(ids) for ids in world.receiver.ids()) <= most
        if type_ == "KB_PER_PAYLOAD":
            assert max(len(request.body) for request in world.receiver.requests) <= size * 1_024


async def test_lines_are_one_event_each_and_arrays_may_be_pretty() -> None:
    async with subscribed() as world:
        for https in ({"format": "ND_JSON", "prettyPrint": True}, {"format": "JSON_ARRAY", "prettyPrint": True}):
            await world.subscribe(payloadOptions={"payloadFormat": {"https": https}})
        made = world.happen(3)
        await world.deliver()
        lines, pretty = world.receiver.requests
        assert [json.loads(line)["id"] for line in lines.body.splitlines()] == made
        assert pretty.ids() == made
        assert pretty.body.startswith(b'[\n  {\n    "_embedded"')


async def test_formats_of_others_are_guesses_with_switches() -> None:
    async with subscribed(Options(newrelic_member="attributes")) as world:
        for format_ in ("SPLUNK", "NEWRELIC", "ACTIVITY"):
            await world.subscribe(format=format_)
        [event_id] = world.happen()
        await world.deliver()
        splunk, newrelic, ours = (request.rows()[0] for request in world.receiver.requests)
        assert (splunk, newrelic) == ({"event": ours}, {"attributes": ours})
        assert ours["id"] == event_id


@pytest.mark.parametrize("status", [201, 202, 204, 302, 400, 401, 413, 429, 500, 503])
async def test_anything_but_200_bars_all_that_is_behind_it(status: int) -> None:
    async with subscribed() as world:
        await world.subscribe()
        [first] = world.happen()
        world.receiver.answers = [status] * 3
        assert await world.deliver() == [status]
        [second] = world.happen()
        assert await world.deliver() == []
        assert await world.deliver(1) == [status]
        assert await world.deliver(2) == [status]
        assert world.receiver.ids() == [[first]] * 3
        assert world.sandbox.sender.waiting() == 2
        assert await world.deliver(4) == [200, 200]
        assert world.receiver.ids()[3:] == [[first], [second]]


async def test_an_option_lets_every_2xx_end_a_delivery() -> None:
    async with subscribed(Options(webhook_success="2xx")) as world:
        await world.subscribe()
        world.receiver.answers = [204, 302]
        world.happen()
        assert await world.deliver() == [204]
        world.happen()
        assert await world.deliver() == [302]
        assert world.sandbox.sender.waiting() == 1


async def test_it_is_tried_less_and_less_often() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.happen()
        world.receiver.answers = [503] * 40
        waits = []
        for _ in range(9):
            [delivery] = await world.sandbox.sender.deliver()
            due = world.sandbox.sender.next_due()
            assert due is not None
            waits.append((due - delivery.at) / 1_000)
            world.sandbox.clock.advance(waits[-1])
        for wait, longest in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
            assert longest * 0.9 <= wait <= longest
        assert [one.attempt for one in world.sandbox.sender.deliveries] == list(range(1, 10))


async def test_one_who_is_down_for_seven_days_loses_what_happened_before() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.happen(2)
        world.receiver.answers = [503] * 3
        assert await world.deliver() == [503]
        await world.deliver(3 * DAY)
        [later] = world.happen()
        assert await world.deliver(3.99 * DAY) == [503]
        assert world.sandbox.sender.waiting() == 3
        assert await world.deliver(0.02 * DAY) == [200]
        assert world.receiver.ids()[-1] == [later]


async def test_one_who_does_not_answer_is_tried_again() -> None:
    async with subscribed() as world:
        world.sandbox.sender.clock = replace(world.sandbox.sender.clock, within=lambda _: anyio.move_on_after(0.05))
        await world.subscribe()
        [event_id] = world.happen()
        world.receiver.answers = [None]
        assert await world.deliver() == [None]
        assert await world.deliver(1) == [200]
        assert world.receiver.ids() == [[event_id]] * 2


async def test_what_piles_up_while_it_is_off_comes_when_it_is_on() -> None:
    async with subscribed() as world:
        subscription = await world.subscribe(enabled=False)
        too_old = world.happen(2)
        assert await world.deliver(10 * DAY) == []
        kept = world.happen(3)
        assert await world.deliver(4.1 * DAY) == []
        assert world.sandbox.sender.waiting(subscription) == 3
        await world.change(subscription)
        assert await world.deliver() == [200]
        assert world.receiver.ids() == [kept]
        assert not set(too_old) & set(kept)


async def test_switching_it_off_keeps_the_batch_that_is_refused() -> None:
    async with subscribed() as world:
        subscription = await world.subscribe()
        [event_id] = world.happen()
        world.receiver.answers = [500]
        assert await world.deliver() == [500]
        await world.change(subscription, enabled=False)
        assert await world.deliver(8 * DAY) == []
        await world.change(subscription)
        assert await world.deliver() == [200]
        assert world.receiver.ids() == [[event_id]] * 2


async def test_a_new_secret_is_used_for_what_was_refused_with_the_old_one() -> None:
    async with subscribed() as world:
        subscription = await world.subscribe()
        world.happen()
        world.receiver.answers = [401]
        await world.deliver()
        await world.change(subscription, httpEndpoint={"url": TARGET, "headers": {"X-Key": "new"}})
        assert await world.deliver() == [200]
        assert world.receiver.requests[-1].headers["x-key"] == "new"
        assert "authorization" not in world.receiver.requests[-1].headers


async def test_what_happened_before_it_was_asked_for_is_not_sent() -> None:
    async with subscribed() as world:
        world.happen()
        subscription = await world.subscribe()
        assert await world.deliver() == []
        seen = world.happen()
        world.happen()
        await world.change(subscription, filterOptions={"includedActionTypes": ["USER.DELETED"]})
        world.happen()
        await world.deliver()
        assert len(world.receiver.ids()[0]) == 2
        assert world.receiver.ids()[0][0] == seen[0]


async def test_two_subscriptions_get_the_same_event_and_do_not_bar_each_other() -> None:
    async with subscribed() as world:
        one, other = await world.subscribe(), await world.subscribe(name="other")
        [event_id] = world.happen()
        world.receiver.answers = [500, 200]
        assert await world.deliver() == [500, 200]
        assert world.receiver.ids() == [[event_id]] * 2
        assert [world.sandbox.sender.waiting(each) for each in (one, other)] == [1, 0]


async def test_a_deleted_subscription_gets_nothing_more() -> None:
    async with subscribed() as world:
        subscription = await world.subscribe()
        watcher = await world.subscribe(name="watcher", filterOptions={"includedActionTypes": ["SUBSCRIPTION.DELETED"]})
        world.happen()
        await world.client.delete(f"/subscriptions/{subscription}")
        assert await world.deliver() == [200]
        [event] = world.receiver.requests[0].rows()
        assert event["action"]["type"] == "SUBSCRIPTION.DELETED"
        assert event["resources"][0]["id"] == subscription
        assert world.sandbox.sender.deliveries[0].subscription_id == watcher


async def test_events_of_another_environment_are_not_sent() -> None:
    async with subscribed() as world:
        await world.subscribe()
        other = world.sandbox.administration(world.sandbox.company.environments[1].id)
        other.update_user(0, title="Elsewhere")
        assert await world.deliver() == []


async def test_only_the_populations_asked_for() -> None:
    async with subscribed() as world:
        state = world.sandbox.state()
        filter_ = {"includedActionTypes": ACTIONS, "includedPopulations": [{"id": state.contractors()}]}
        await world.subscribe(filterOptions=filter_)
        administration = world.sandbox.administration()
        inside = administration.create_user("in@example.com", state.contractors())
        administration.create_user("out@example.com", state.employees())
        await world.deliver()
        assert [row["resources"][0]["id"] for row in world.receiver.requests[0].rows()] == [state.user(inside)["id"]]


async def test_events_that_leave_no_line_in_the_audit_log_are_not_sent() -> None:
    async with subscribed(Options(unrecorded_actions=("USER.DELETED",))) as world:
        await world.subscribe()
        world.sandbox.administration().delete_user(0)
        assert await world.deliver() == []


async def test_events_may_be_sent_late() -> None:
    async with subscribed(Options(webhook_lag=30)) as world:
        await world.subscribe()
        [event_id] = world.happen()
        assert (await world.deliver(29), await world.deliver(1)) == ([], [200])
        assert world.receiver.ids() == [[event_id]]


async def test_what_a_delivery_says_of_itself_is_an_option() -> None:
    async with subscribed(Options(webhook_content_type=None, webhook_user_agent="Sender/1")) as world:
        await world.subscribe()
        world.happen()
        await world.deliver()
        headers = world.receiver.requests[0].headers
        assert "content-type" not in headers
        assert headers["user-agent"] == "Sender/1"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), ("PASSWORD.CHECK_FAILED", "FAILED", "membership", "USER.UPDATED")),
        (
            Options(
                failed_sign_ons_event="USER.LOCKED", membership_resource_id="group", moved_users_event="USER.MOVED"
            ),
            ("USER.LOCKED", "SUCCESS", "group", "USER.MOVED"),
        ),
    ],
)
async def test_events_that_nobody_has_confirmed_have_switches(options: Options, expected: tuple[str, ...]) -> None:
    async with subscribed(options) as world:
        await world.subscribe(filterOptions={"includedActionTypes": [*ACTIONS, "USER.MOVED", "PASSWORD.CHECK_FAILED"]})
        administration, state = world.sandbox.administration(), world.sandbox.state()
        group = next(one for one in state.groups.values() if one.record["name"] == "Retired Projects")
        administration.fail_to_sign_on(0)
        administration.add_to_group(0, group.id)
        administration.move_user(0, state.contractors())
        await world.deliver()
        lock, membership, move = world.receiver.requests[0].rows()
        id_ = "group" if membership["resources"][0]["id"] == group.id else "membership"
        assert (lock["action"]["type"], lock["result"]["status"], id_, move["action"]["type"]) == expected
        assert state.user(0)["account"]["status"] == "LOCKED"


async def test_a_lock_by_failed_sign_ons_may_leave_no_event_and_updates_no_names() -> None:
    async with subscribed(Options(failed_sign_ons_event=None, modified_attributes=False)) as world:
        await world.subscribe()
        world.sandbox.administration().fail_to_sign_on(0)
        assert await world.deliver() == []
        world.happen()
        await world.deliver()
        assert world.receiver.requests[0].rows()[0]["_embedded"] == {}


async def test_the_same_seed_sends_the_same() -> None:
    async def story() -> list[tuple[int, tuple[str, ...], int | None]]:
        async with subscribed() as world:
            await world.subscribe()
            world.receiver.answers = [503, 503, 503, 200]
            world.happen(3)
            for _ in range(5):
                await world.deliver(3)
                world.happen()
            return [(one.at, one.event_ids, one.status) for one in world.sandbox.sender.deliveries]

    assert await story() == await story()


async def test_the_secret_is_nowhere_but_in_the_request() -> None:
    async with subscribed() as world:
        await world.subscribe()
        world.happen()
        await world.deliver()
        seen = (await world.client.get("https://api.example.net/sandbox/webhooks")).text
        assert SECRET not in seen + repr(world.sandbox.sender.deliveries) + repr(world.sandbox.requests)


async def test_nothing_is_sent_elsewhere_though_a_subscription_said_so() -> None:
    async with subscribed() as world:
        await world.subscribe()
        [feed] = world.sandbox.world.feeds
        feed.subscription = replace(feed.subscription, url="https://hooks.example.net/")
        world.happen()
        assert await world.deliver() == [None]
        assert world.receiver.requests == []


async def test_the_back_door_shows_what_waits_and_sends_it() -> None:
    async with subscribed() as world:
        subscription = await world.subscribe()
        [event_id] = world.happen()
        world.receiver.answers = [500]
        host = "https://api.example.net/sandbox/webhooks"
        sent = (await world.client.post(f"{host}/delivery")).json()["deliveries"]
        assert sent == [
            {
                "at": "2026-06-15T12:00:00.003Z",
                "subscription_id": subscription,
                "url": TARGET,
                "attempt": 1,
                "event_ids": [event_id],
                "size": len(world.receiver.requests[0].body),
                "status": 500,
                "accepted": False,
                "faults": [],
            }
        ]
        shown = (await world.client.get(host)).json()
        [waits] = shown["subscriptions"]
        assert shown["deliveries"] == sent
        assert waits | {"next_try": "soon"} == {
            "id": subscription,
            "name": "ours",
            "environment_id": world.sandbox.environment_id,
            "waiting": 1,
            "attempts": 1,
            "next_try": "soon",
        }
        assert (await world.client.delete(host)).status_code == 204
        assert (await world.client.get(host)).json()["deliveries"] == []
