"""Users chosen out of the local copy: nobody beyond the scope, whatever is in the file."""

from __future__ import annotations

import sqlite3

from pingone_mcp.directory.matching.unified import FieldCondition, Sorting, UserSelection
from pingone_mcp.directory.scope import Scope
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.selecting.page import selected_page
from pingone_mcp.replica.selecting.roles import every_role
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import ROLES
from tests.replica.happenings import Doors
from tests.world import NOW, World


async def test_nobody_beyond_the_scope_is_chosen(world: World) -> None:
    world.sandbox = Sandbox(size=60, now=NOW, administrators=True)
    main = world.sandbox.company.main
    first = main.populations[0].id
    served = {user["id"] for user in world.sandbox.users() if user["population"]["id"] == first}
    hidden = [user["id"] for user in world.sandbox.users() if user["id"] not in served]
    selections = (
        UserSelection(),
        UserSelection(sorting=Sorting(field="name")),
        UserSelection(conditions=(FieldCondition(field="id", comparison="in", values=(*hidden, *served)),)),
    )
    scope = Scope(environments=(main.id,), populations=(first,))

    def look(database: sqlite3.Connection) -> tuple[list[set[str]], set[str]]:
        copy = Snapshot(database, scope)
        found = [{user.id for user in selected_page(copy, one, None, 1_000).items} for one in selections]
        return found, {user for user, _ in every_role(copy)}

    role = {"role": {"id": ROLES[2].id}, "scope": {"id": main.id, "type": "ENVIRONMENT"}}
    async with Doors(world.sandbox) as doors:
        for user in (hidden[0], min(served)):
            assert await doors.send("POST", f"/users/{user}/roleAssignments", role) == 201
    async with world.backend(replica_roles=True) as backend:
        await backend.replica.sync("full", report=lambda *_: None)
        found, holders = await backend.replica.store.read(look)
    assert found == [served] * len(selections)
    assert min(served) in holders
    assert holders <= served
