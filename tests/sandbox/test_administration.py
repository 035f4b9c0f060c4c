"""The administrator of a company changes users, and every change leaves a line in the audit log."""

from __future__ import annotations

from pingone_mcp.sandbox.app import Sandbox


def test_what_an_administrator_does_is_done_and_recorded_by_name() -> None:
    sandbox = Sandbox(size=100)
    administration = sandbox.administration()
    state = administration.state
    group = next(one for one in state.groups.values() if one.record["name"] == "Finance")
    before = len(state.events)
    position = administration.create_user("kim@example.com", state.employees(), title="Clerk")
    administration.update_user(position, title="Buyer")
    administration.add_to_group(position, group.id)
    assert state.is_direct(position, group)
    administration.take_from_group(position, group.id)
    assert not state.is_direct(position, group)
    administration.move_user(position, state.contractors())
    administration.disable_user(position)
    user = state.user(position)
    assert (user["title"], user["enabled"], user["account"]["canAuthenticate"]) == ("Buyer", False, False)
    assert user["population"]["id"] == state.contractors()
    administration.delete_user(position)
    assert not state.exists(position)
    done = state.events[before:]
    assert [event.result.removesuffix(f" {event.resource_name}") for event in done] == [
        "Created User",
        "Updated User",
        "Created Member Of Group",
        "Deleted Member Of Group",
        "Updated population for User",
        "Updated enabled for User",
        "Deleted User",
    ]
    assert {event.actor.user_name for event in done} == {"sam.reyes@example.com"}
    assert {event.path.split("/")[1] for event in done} == {user["id"]}
