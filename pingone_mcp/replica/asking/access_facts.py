"""What an access review says of a person, as SQL over the columns of the copy.

Each flag and each way of access is written once, here: the same text counts people, says who comes first, and makes
rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.asking.conditions import Condition, membership, one_of
from pingone_mcp.reports.review import DESERVING, IDLE_DAYS, Facts

_MILLISECOND = 1_000  # in microseconds
_PLACES = {name: place for place, name in enumerate(Facts._fields[1:])}
_WITH_ROLE = "SELECT user_id FROM role_assignments_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Which ways of access count: into one `group`, by some `roles`, or any where neither is asked for.

    `beside` says of whom roles were read beside the copy, by id of the user, and whether there are any. `roles_read`
    says that the copy has the roles of everybody.
    """

    group: str | None
    roles: tuple[str, ...]
    beside: Mapping[str, bool]
    roles_read: bool


class FactsInSql:
    """SQL of `Facts` about `u`, a row of users_."""

    def __init__(self, ways: Ways, now: datetime) -> None:
        # Times are kept to the millisecond: one is before a moment if it is before the next whole one.
        idle = timestamp(now - timedelta(days=IDLE_DAYS) + timedelta(microseconds=-now.microsecond % _MILLISECOND))
        privileged, known = _privileged(ways)
        self._said = {
            "inactive_with_access": Condition("u.status IN ('inactive', 'deleted')"),
            "never_signed_in": Condition("u.last_login_at IS NULL"),
            "idle": Condition("coalesce(u.last_login_at < ?, 0)", (idle,)),
            "no_mfa": Condition("u.is_2fa_enabled IS 0"),
            "privileged": privileged,
            "roles_unknown": Condition(f"NOT ({privileged.sql} OR {known.sql})", privileged.values + known.values),
            "mfa_unknown": Condition("u.is_2fa_enabled IS NULL"),
            "direct": _by_group(ways),  # two digits: the second is `indirect`
            "role": _by_role(ways),
        }

    def marks(self) -> Condition:
        """Return a number of a digit for each fact but the status, for `facts_of`."""
        return _sum({name: f"(({{}}) << {_PLACES[name]})" for name in self._said}, self._said)

    def flags(self) -> Condition:
        """Return how many flags deserve a look."""
        return _sum(dict.fromkeys(DESERVING, "({})"), self._said)


def facts_of(status: str, marks: int) -> Facts:
    """Return the facts about somebody by the status and the number of `FactsInSql.marks`."""
    return Facts(status, *(marks >> place & 1 for place in _PLACES.values()))


def _sum(written: Mapping[str, str], said: Mapping[str, Condition]) -> Condition:
    sql = " + ".join(form.format(said[name].sql) for name, form in written.items())
    return Condition(f"({sql})", tuple(value for name in written for value in said[name].values))


def _privileged(ways: Ways) -> tuple[Condition, Condition]:
    """Return that somebody has an administrator role, and that it is known of somebody without one."""
    held = Condition(f"u.id IN ({_WITH_ROLE})")
    known = Condition("1" if ways.roles_read else "0")
    if not ways.beside:
        return held, known
    read = one_of("u.id", list(ways.beside))
    having = one_of("u.id", [user for user, has in ways.beside.items() if has])
    either = Condition(f"CASE WHEN {read.sql} THEN {having.sql} ELSE {held.sql} END", read.values + having.values)
    return either, Condition(f"({known.sql} OR {read.sql})", read.values)


def _by_group(ways: Ways) -> Condition:
    """Return 1 for who is directly in a group that counts, 2 for who is in one otherwise, 3 for both."""
    if ways.roles and ways.group is None:
        return Condition("0")
    which = membership(ways.group) if ways.group is not None else Condition("1")
    return Condition(
        "SELECT coalesce(max(m.type = 'direct') + 2 * max(m.type <> 'direct'), 0) FROM memberships_ m "  # noqa: S608 - our own text
        f"WHERE m.user_id = u.id AND {which.sql}",
        which.values,
    )


def _by_role(ways: Ways) -> Condition:
    if ways.group is not None and not ways.roles:
        return Condition("0")
    if not ways.roles:
        return Condition(f"u.id IN ({_WITH_ROLE})")
    held = one_of("role_id", ways.roles)
    return Condition(f"u.id IN ({_WITH_ROLE} WHERE {held.sql})", held.values)
