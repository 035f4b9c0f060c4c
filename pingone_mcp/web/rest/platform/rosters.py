"""`/roster` and `/role-rules`: the user lists of applications, pushed or pulled, and the rules for roles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import anyio
from pydantic import Field, SecretStr

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.service.fleet.cursors import ListCursors, Paged
from pingone_mcp.service.rosters.pulling import LONGEST_TOKEN
from pingone_mcp.service.rosters.shelf import LONGEST_NAME
from pingone_mcp.settings.targets import LONGEST_URL
from pingone_mcp.web.rest.content import GivenBody
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.platform.lists import (
    DONE,
    PAGES,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    YES_NO,
    described,
    list_asked,
    platform_list,
    platform_listed,
)

if TYPE_CHECKING:
    from datetime import datetime

    from pingone_mcp.reports.rosters.files import RosterKind
    from pingone_mcp.service.rosters.desk import RosterDesk
    from pingone_mcp.service.rosters.keeping import KeptRoster
    from pingone_mcp.service.rosters.role_rules import KeptRules

_CSV, _JSON = "text/csv", "application/json"
_TOML = ("application/toml", "text/plain")
_PULL_SECONDS = 20.0  # of an answer; a pull that takes longer goes on


class NewSource(GivenBody):
    """Where a roster is pulled from."""

    url: Annotated[
        str,
        Field(
            max_length=LONGEST_URL,
            description="The /Users of a SCIM 2.0 server: an https URL of a public host.",
            examples=["https://app.example.com/scim/v2/Users"],
        ),
    ]
    token: Annotated[
        str | None,
        Field(
            max_length=LONGEST_TOKEN,
            repr=False,
            description="The bearer token; never shown. Absent: that which there is for this URL. Empty: none.",
        ),
    ] = None


_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_COUNT_OR_NULL: JsonObject = {"type": ["integer", "null"], "minimum": 0}
_MEMBERS: dict[str, JsonObject] = {
    "name": TEXT,
    "integrated_account_id": TEXT,
    "source": {"enum": ["pushed", "scim"]},
    "url": TEXT_OR_NULL,
    "accounts": _COUNT_OR_NULL,
    "received_at": TIME_OR_NULL,
    "age_seconds": _COUNT_OR_NULL,
    "tried_at": TIME_OR_NULL,
    "reason": TEXT_OR_NULL,
    "created_at": TIME,
}
ROSTER = described(_MEMBERS)
_NOTES: JsonObject = {"type": "array", "items": TEXT}
_LINES: JsonObject = {"type": "array", "items": TEXT, "description": "The rules in TOML, line by line."}
_RULES = described({"lines": _LINES, "rules": _COUNT_OR_NULL, "exclusive": _COUNT_OR_NULL, "received_at": TIME})


def shown_roster(roster: KeptRoster, connection: str) -> JsonObject:
    """Return a roster as a row, without its accounts and without a token."""
    return {
        "name": roster.name,
        "integrated_account_id": connection,
        "source": roster.source,
        "url": roster.url,
        "accounts": roster.accounts,
        "received_at": _time(roster.received_at),
        "age_seconds": roster.age_seconds,
        "tried_at": _time(roster.tried_at),
        "reason": roster.reason,
        "created_at": timestamp(roster.created_at),
    }


class RosterHandlers:
    """What answers, over the use cases. `key` is the secret of cursors."""

    def __init__(self, desk: RosterDesk, key: bytes) -> None:
        self._desk = desk
        self._cursors = ListCursors(key, "rosters")

    async def list(self, asking: Asking) -> RestAnswer:
        connection = _connection(asking)
        asked = list_asked(asking, {"connection": connection})
        after = self._cursors.after(asked)
        found = [one for one in await self._desk.keeping.listed(connection) if after is None or one.name > after]
        page, more = found[: asked.limit], len(found) > asked.limit
        cursor = self._cursors.behind(asked, page[-1].name) if more else None
        return platform_list(
            asking, Paged(items=page, next_cursor=cursor), partial(shown_roster, connection=connection)
        )

    async def get(self, asking: Asking) -> RestAnswer:
        return _answer(asking, await self._desk.keeping.find(_connection(asking), asking.path["name"]))

    async def push(self, asking: Asking) -> RestAnswer:
        media_type, content = await asking.file(_CSV, _JSON)
        kind: RosterKind = "csv" if media_type == _CSV else "json"
        pushed = await self._desk.keeping.push(_connection(asking), asking.path["name"], kind, content)
        return _answer(asking, pushed.roster, notes=list(pushed.notes))

    async def remove(self, asking: Asking) -> RestAnswer:
        await self._desk.keeping.remove(_connection(asking), asking.path["name"])
        return RestAnswer(body={"name": asking.path["name"]})

    async def set_source(self, asking: Asking) -> RestAnswer:
        given = asking.given(NewSource)
        token = None if given.token is None else SecretStr(given.token)
        found = await self._desk.pulls.set_source(_connection(asking), asking.path["name"], given.url, token)
        return _answer(asking, found)

    async def pull(self, asking: Asking) -> RestAnswer:
        connection, name = _connection(asking), asking.path["name"]
        with anyio.move_on_after(_PULL_SECONDS):
            pulled = await self._desk.pulls.pull(connection, name)
            return _answer(asking, pulled.roster, notes=list(pulled.notes), is_pulling=False)
        return _answer(asking, await self._desk.keeping.find(connection, name), notes=[], is_pulling=True)

    async def put_rules(self, asking: Asking) -> RestAnswer:
        _, content = await asking.file(*_TOML)
        return _rules(await self._desk.rules.put(_connection(asking), content))

    async def get_rules(self, asking: Asking) -> RestAnswer:
        return _rules(await self._desk.rules.show(_connection(asking)))

    async def remove_rules(self, asking: Asking) -> RestAnswer:
        await self._desk.rules.remove(_connection(asking))
        return RestAnswer(body={"success": True})


def _connection(asking: Asking) -> str:
    assert asking.served is not None, "an operation that is about a connection"
    return asking.served.id


def _answer(asking: Asking, roster: KeptRoster, **more: object) -> RestAnswer:
    return RestAnswer(body={**shown_roster(roster, _connection(asking)), **more})


def _rules(kept: KeptRules) -> RestAnswer:
    return RestAnswer(
        body={
            "lines": kept.text.splitlines(),
            "rules": kept.rules,
            "exclusive": kept.exclusive,
            "received_at": timestamp(kept.received_at),
        }
    )


def _time(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def roster_operations(desk: RosterDesk, key: bytes) -> tuple[RestOperation, ...]:
    """Return the operations of rosters and rules; `key` is the secret of the cursors of lists."""
    does = RosterHandlers(desk, key)
    name = {"name": f"1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores; the first is no dot."}
    reads = partial(RestOperation, tag="rosters", permission="directory.read")
    writes = partial(RestOperation, tag="rosters", permission="directory.sync")
    return (
        reads(
            name="listRosters",
            path="/roster",
            summary="List the user lists of applications of a connection, by their names.",
            parameters=PAGES,
            answer=does.list,
            answers=platform_listed(ROSTER),
        ),
        reads(
            name="getRoster",
            path="/roster/{name}",
            summary="Get what is known of a roster; its accounts are not shown.",
            about_path=name,
            answer=does.get,
            answers=ROSTER,
        ),
        writes(
            name="putRoster",
            method="PUT",
            path="/roster/{name}",
            summary="Push the user list of an application, whole: it takes the place of the one before.",
            about_path=name,
            takes_files=(_CSV, _JSON),
            answer=does.push,
            answers=described({**_MEMBERS, "notes": _NOTES}),
        ),
        writes(
            name="deleteRoster",
            method="DELETE",
            path="/roster/{name}",
            summary="Remove a roster: its list, its source and its token.",
            about_path=name,
            answer=does.remove,
            answers=described({"name": TEXT}),
        ),
        writes(
            name="putRosterSource",
            method="PUT",
            path="/roster/{name}/source",
            summary="Say where a roster is pulled from. Its last list stays until another one was pulled.",
            about_path=name,
            takes=NewSource,
            answer=does.set_source,
            answers=ROSTER,
        ),
        writes(
            name="pullRoster",
            method="POST",
            path="/roster/{name}/pull",
            summary="Read a roster from its source now; a pull that takes longer than the answer goes on.",
            about_path=name,
            answer=does.pull,
            answers=described({**_MEMBERS, "notes": _NOTES, "is_pulling": YES_NO}),
        ),
        writes(
            name="putRoleRules",
            method="PUT",
            path="/role-rules",
            tag="role_rules",
            summary="Put the rules for roles of a connection, in TOML, in the place of those before.",
            takes_files=_TOML,
            answer=does.put_rules,
            answers=_RULES,
        ),
        reads(
            name="getRoleRules",
            path="/role-rules",
            tag="role_rules",
            summary="Get the rules for roles that were put for a connection.",
            answer=does.get_rules,
            answers=_RULES,
        ),
        writes(
            name="deleteRoleRules",
            method="DELETE",
            path="/role-rules",
            tag="role_rules",
            summary="Remove the rules for roles of a connection.",
            answer=does.remove_rules,
            answers=DONE,
        ),
    )
