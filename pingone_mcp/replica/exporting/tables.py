"""Tables of the local copy as they are exported: which rows, which columns, in batches of flat values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.changes import ChangeQuestion
from pingone_mcp.directory.matching.filterable import Filterable
from pingone_mcp.directory.provider import GroupQuestion, UserQuestion
from pingone_mcp.replica.asking.changes import where_of
from pingone_mcp.replica.asking.conditions import Condition, either
from pingone_mcp.replica.asking.groups import group_parts
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import user_parts
from pingone_mcp.reports.tables import Batch, Column, FlatRow, Subject

ROWS = 200
"""Rows of a batch: few enough to stay in the processor's cache, and for a caller who leaves not to wait."""

_PLACES = {"population": "p.name", "environment": "e.name"}
_BESIDE = "LEFT JOIN populations_ p ON p.id = u.population_id LEFT JOIN environments_ e ON e.id = u.environment_id"
_MEMBERSHIPS = (
    "memberships_ m JOIN users_ u ON u.id = m.user_id AND u.removed_at IS NULL JOIN groups_ g ON g.id = m.group_id"
)
# What is no column of the table, or of one that is joined with it.
_SPELT: Mapping[Subject, Mapping[str, str]] = MappingProxyType(
    {
        "users": _PLACES,
        "groups": {**_PLACES, "member_count": "(SELECT v.member_count FROM groups v WHERE v.id = u.id)"},
        "memberships": {
            "user_id": "m.user_id",
            "username": "u.username",
            "group_id": "m.group_id",
            "group_name": "g.name",
            "type": "m.type",
        },
        "changes": {},
    }
)
_FROM: Mapping[Subject, str] = MappingProxyType(
    {
        "users": f"users_ u NOT INDEXED {_BESIDE}",
        "groups": f"groups_ u {_BESIDE}",
        "memberships": _MEMBERSHIPS,
        "changes": "changes_ u",
    }
)
_COUNTED: Mapping[Subject, str] = MappingProxyType({**_FROM, "users": "users_ u", "groups": "groups_ u"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTable:
    """The rows of a table that are to be exported, in one state of the copy."""

    copy: Snapshot
    subject: Subject
    columns: Sequence[Column]
    where: Condition

    def count(self) -> int:
        sql = f"SELECT count(*) FROM {_COUNTED[self.subject]} WHERE {self.where.sql}"  # noqa: S608 - our own text; what is asked is bound
        (count,) = self.copy.database.execute(sql, self.where.values).fetchone()
        return int(count)

    def batches(self) -> Iterator[Batch]:
        """Yield the rows, in the order in which they are kept."""
        chosen = ", ".join(self.expressions())
        cursor = self.select(chosen)
        while rows := cursor.fetchmany(ROWS):
            yield rows

    def expressions(self) -> list[str]:
        """Return what SQLite reads for each column."""
        spelt = _SPELT[self.subject]
        return [spelt.get(column.name, f"u.{column.name}") for column in self.columns]

    def select(self, chosen: str) -> Any:
        """Return a cursor over what is chosen of the rows."""
        sql = f"SELECT {chosen} FROM {_FROM[self.subject]} WHERE {self.where.sql}"  # noqa: S608 - as above
        return self.copy.database.execute(sql, self.where.values)

    def user(self, number: int) -> FlatRow:
        """Return the row of one user by its number, which no sync changes."""
        sql = f"SELECT {', '.join(self.expressions())} FROM {_FROM['users']} WHERE u.number = ?"  # noqa: S608 - as above
        row: FlatRow = self.copy.database.execute(sql, (number,)).fetchone()
        return row


def copied_table(
    copy: Snapshot,
    subject: Subject,
    columns: Sequence[Column],
    *,
    filterable: Filterable,
    filter_: str | None,
    changes: ChangeQuestion,
) -> CopiedTable:
    """Return a table of the copy. Raises Refused and FilterRefused, and NotHeld for what only the provider knows."""
    return CopiedTable(
        copy=copy, subject=subject, columns=columns, where=_where(copy, subject, filterable, filter_, changes)
    )


def _where(
    copy: Snapshot, subject: Subject, filterable: Filterable, filter_: str | None, changes: ChangeQuestion
) -> Condition:
    if subject == "users":
        return either(part.where for part in user_parts(copy, filterable, UserQuestion(filter=filter_)))
    if subject == "changes":
        sql, values = where_of(changes)
        return Condition(sql, tuple(values))
    groups = either(part.where for part in group_parts(copy, GroupQuestion()))
    if subject == "groups":
        return groups
    # Of the groups that are served, those members who are served.
    people = either(part.where for part in user_parts(copy, filterable, UserQuestion()))
    return Condition(
        f"m.group_id IN (SELECT u.id FROM groups_ u WHERE {groups.sql}) AND ({people.sql})",  # noqa: S608 - as above
        (*groups.values, *people.values),
    )
