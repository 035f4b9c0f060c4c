"""The least that a full sync can do: `json.loads` each page, and put its users, or members, into a table.

Each page that holds users is read once, and each page of the members of each group, as a sync reads them. What it takes
to fetch them is not counted, nor is there any protocol, unifying, comparing, index or search. A user is a row of 25
columns, a membership one of 3; the tables have primary keys, and all is one transaction of a new SQLite file.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.measuring.own_process import begin, in_own_process
from benchmarks.places.bare import Plain
from benchmarks.places.place import Place

COLUMNS = (
    "id", "environment.id", "population.id", "username", "externalId", "name.formatted", "name.given", "name.family",
    "email", "primaryPhone", "mobilePhone", "title", "department", "manager", "type", "enabled", "account.status",
    "lifecycle.status", "emailVerified", "mfaEnabled", "locale", "timezone", "lastSignOn.at", "createdAt", "updatedAt",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """Processor seconds, and the rows that were made."""

    processor_seconds: float
    users: int
    memberships: int


def least(place: Place) -> Least:
    """Do it in a process of its own."""
    return Least(**in_own_process("benchmarks.copy.least", given=asdict(place)))


class _Tables:
    """The two tables; `processor_seconds` is what was spent on the pages."""

    def __init__(self, path: Path) -> None:
        self.processor_seconds = 0.0
        started = time.process_time()
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute(f"CREATE TABLE users (id PRIMARY KEY, {', '.join(map(_quoted, COLUMNS[1:]))})")
        self._database.execute('CREATE TABLE members (user, "group", type, PRIMARY KEY ("group", user))')
        self._database.execute("BEGIN")
        self._spent_since(started)

    def _spent_since(self, started: float) -> None:
        self.processor_seconds += time.process_time() - started

    def put(self, page: bytes, table: str, row: Callable[[dict[str, Any]], tuple[object, ...]]) -> None:
        started = time.process_time()
        rows = [row(user) for user in json.loads(page)["_embedded"]["users"]]
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608 - our own
        self._spent_since(started)

    def end(self) -> tuple[int, int]:
        """Commit; return how many users and memberships there are."""
        started = time.process_time()
        self._database.execute("COMMIT")
        self._spent_since(started)
        users, members = (
            self._database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own
            for table in ("users", "members")
        )
        self._database.close()
        return users, members


def _quoted(name: str) -> str:
    return f'"{name}"'


def _row(user: Mapping[str, Any]) -> tuple[object, ...]:
    get = user.get
    name, account = get("name", _NONE), get("account", _NONE)
    return (
        user["id"],
        get("environment", _NONE).get("id"),
        get("population", _NONE).get("id"),
        get("username"),
        get("externalId"),
        name.get("formatted"),
        name.get("given"),
        name.get("family"),
        get("email"),
        get("primaryPhone"),
        get("mobilePhone"),
        get("title"),
        get("department"),
        get("manager"),
        get("type"),
        get("enabled"),
        account.get("status"),
        get("lifecycle", _NONE).get("status"),
        get("emailVerified"),
        get("mfaEnabled"),
        get("locale"),
        get("timezone"),
        get("lastSignOn", _NONE).get("at"),
        get("createdAt"),
        get("updatedAt"),
    )


def _member(group: str, kind: str, user: Mapping[str, Any]) -> tuple[object, ...]:
    return user["id"], group, kind


_NONE: Mapping[str, Any] = {}


def _read(place: Place, file: Path) -> Least:
    plain = Plain(place)
    tables = _Tables(file)
    for page in plain.pages("users"):
        tables.put(page, "users", _row)
    for group, kinds in _kinds(plain.pages("groups")):
        for kind in kinds:
            for page in plain.pages("users", f'memberOfGroups[id eq "{group}" and type eq "{kind}"]'):
                tables.put(page, "members", partial(_member, group, kind))
    users, memberships = tables.end()
    plain.close()
    return Least(processor_seconds=tables.processor_seconds, users=users, memberships=memberships)


def _kinds(pages: Iterable[bytes]) -> Iterable[tuple[str, Sequence[str]]]:
    """Yield the groups, and the kinds of members for which a sync asks."""
    for page in pages:
        for group in json.loads(page)["_embedded"]["groups"]:
            yield group["id"], ("DIRECT", "INDIRECT") if group.get("userFilter") else ("DIRECT",)


def main() -> None:
    """Read a Place from stdin."""
    place = Place.described(json.load(sys.stdin))
    begin()
    with TemporaryDirectory() as folder:
        print(json.dumps(asdict(_read(place, Path(folder) / "least.db"))))


if __name__ == "__main__":
    main()
