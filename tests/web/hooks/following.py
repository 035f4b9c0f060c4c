"""Somebody who follows events and looks at nothing else: what they know then is to be what is true."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from pingone_mcp.directory.changes import changes_between
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.replica.store.feed import feed_of
from tests.replica.truth import State
from tests.service.events.receivers import Letter


def noted_changes(database: sqlite3.Connection) -> list[tuple[str, str, str | None]]:
    """Return the changes of a copy since its first sync, as user, kind and group."""
    named = feed_of(database)
    assert named is not None
    query = "SELECT user_id, kind, group_id FROM changes_ WHERE id > ? ORDER BY id"
    return database.execute(query, (named[1],)).fetchall()


class Followed:
    """What somebody who follows events knows of a company."""

    def __init__(self, were: State) -> None:
        self.users: dict[str, JsonObject] = {user: dict(record) for user, record in were.users.items()}
        self.memberships = dict(were.memberships)
        self.said: list[tuple[str, str, str | None]] = []
        self._payloads: dict[str, Any] = {}
        self._last: dict[str, tuple[Any, Any]] = {}

    def follow(self, letters: Sequence[Letter]) -> Followed:
        for letter in letters:
            assert letter.headers["webhook-id"] == letter.event["id"]
            known = self._payloads.setdefault(letter.event["id"], letter.body)
            assert known == letter.body, "what is sent again is the same"
            if known is letter.body:
                self._take(letter.event["payload"])
        return self

    def _take(self, payload: dict[str, Any]) -> None:
        user, kind = payload["records"][0]["id"], payload["change"]
        before, after = payload["before"], payload["after"]
        if kind.startswith("membership."):
            [group] = after["groups"] or before["groups"]
            self.said.append((user, kind, group["id"]))
            pair = (user, group["id"])
            was, now = (_kind(side) for side in (before, after))
            assert self.memberships.get(pair) == was, payload
            if now is None:
                del self.memberships[pair]
            else:
                self.memberships[pair] = now
            return
        self.said.append((user, kind, None))
        if before is None:
            assert user not in self.users, payload
            self.users[user] = after
        elif after is None:
            assert not _differences(self.users.pop(user), before), payload
        else:
            known = self.users[user]
            wrong = {name for name in before if _differences({name: known.get(name)}, {name: before[name]})}
            # Of one observation that gave several changes, each has the fields that they share.
            shared = {name for name in wrong if not _differences({name: known.get(name)}, {name: after[name]})}
            assert wrong == shared, (payload, wrong)
            known.update(after)

    def check(self, there: State) -> None:
        assert self.users.keys() == there.users.keys()
        for user, record in there.users.items():
            assert not _differences(self.users[user], record)
        assert {pair: kind for pair, kind in self.memberships.items() if pair[0] in self.users} == there.memberships


def _kind(side: Any) -> str | None:
    return side["groups"][0]["type"] if side and side["groups"] else None


def _differences(one: JsonObject, other: JsonObject) -> Any:
    present = ({name: value for name, value in side.items() if value is not None} for side in (one, other))
    return changes_between(*present)
