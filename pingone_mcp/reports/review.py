"""Who has access, by which way, and what deserves a look: the rows and counts of an access review.

What makes a flag is written once, where people are kept (`replica.asking.access_facts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import Literal, NamedTuple

from pingone_mcp.directory.models import JsonObject, Named, RoleScope
from pingone_mcp.directory.text.harmless import harmless

HowKind = Literal["direct", "indirect", "role", "population"]

IDLE_DAYS = 90
ROLES_UNKNOWN = "roles_unknown"
COLUMNS: tuple[str, ...] = (
    "id",
    "username",
    "name",
    "email",
    "department",
    "manager",
    "type",
    "status",
    "status_reasons",
    "how",
    "since",
    "last_sign_on",
    "mfa",
    "flags",
    "created_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How access came: `what` is the group, role or population.

    `via` are the groups between the person and `what`, the person's own one first (indirect); a role has a scope.
    """

    kind: HowKind
    what: Named
    via: tuple[Named, ...] = ()
    scope: RoleScope | None = None

    def __str__(self) -> str:
        name = _label(self.what)
        if self.kind == "direct":
            return f"in group {name}"
        if self.kind == "indirect":
            through = " > ".join(_label(group) for group in self.via)
            return f"in group {name} through {through}" if through else f"in group {name}, not directly"
        if self.kind == "population":
            return f"in population {name}"
        if self.scope is None:
            return f"role {name}"
        return f"role {name} on {harmless(self.scope.type).lower()} {harmless(self.scope.name or self.scope.id)}"


class Facts(NamedTuple):
    """What is counted of one person: the status, and of all else whether it is so (1) or not (0).

    The first of these are the flags, in their order. `privileged` is who has any administrator role, be it asked for or
    not; of whom nobody knows that, it is 0, and `roles_unknown` 1. `direct`, `indirect` and `role` are the ways by
    which access came.
    """

    status: str
    inactive_with_access: int
    never_signed_in: int
    idle: int
    no_mfa: int
    privileged: int
    roles_unknown: int
    mfa_unknown: int
    direct: int
    indirect: int
    role: int

    def flags(self) -> tuple[str, ...]:
        """Return the flags that are set."""
        return tuple(compress(FLAGS, self[1:]))

    def flag_count(self) -> int:
        """Return how many flags deserve a look: what is unknown is none."""
        return sum(map(bool, self[1 : len(FLAGS)]))


FLAGS: tuple[str, ...] = (
    "inactive_with_access",
    "never_signed_in",
    f"no_sign_in_for_{IDLE_DAYS}_days",
    "no_mfa",
    "privileged",
    ROLES_UNKNOWN,
)
"""The flags of a row, in the order of `Facts`."""
DESERVING = Facts._fields[1 : len(FLAGS)]
"""Which of `Facts` deserve a look: all flags but the one that says that something is not known."""
_WAYS: tuple[HowKind, ...] = ("direct", "indirect", "role")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One person of a review. `since` is the earliest that is known; `mfa` is unknown where the directory is silent.

    The flag `roles_unknown` says that `privileged` may be missing, for roles were not read.
    """

    id: str
    username: str | None
    name: str | None
    email: str | None
    department: str | None
    manager: str | None
    type: str | None
    status: str
    status_reasons: tuple[str, ...]
    how: tuple[str, ...]
    since: datetime | None
    last_sign_on: datetime | None
    mfa: Literal["yes", "no", "unknown"]
    flags: tuple[str, ...]
    created_at: datetime | None

    def values(self) -> JsonObject:
        """Return the row by column, as an export takes it."""
        return {column: getattr(self, column) for column in COLUMNS}


def counts_of(people: Iterable[tuple[Facts, int]]) -> dict[str, int | None]:
    """Return the counts of a review by facts and how many people they are true of: people, by flag, by way, by status.

    A flag that nobody was found to have is null where it is not known of somebody.
    """
    statuses: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for facts, number in people:
        statuses[harmless(facts.status)] += number
        found.update({name: number for name, so in zip(Facts._fields[1:], facts[1:], strict=True) if so})
    unknown = {"no_mfa": found["mfa_unknown"], "privileged": found["roles_unknown"]}
    flags = [(flag, name) for flag, name in zip(FLAGS, Facts._fields[1:], strict=False) if flag != ROLES_UNKNOWN]
    return {
        "people": statuses.total(),
        **{f"flag.{flag}": found[name] or (None if unknown.get(name) else 0) for flag, name in flags},
        "mfa_unknown": found["mfa_unknown"],
        "roles_unknown": found["roles_unknown"],
        **{f"how.{way}": found[way] for way in _WAYS if found[way]},
        **{f"status.{status}": count for status, count in sorted(statuses.items())},
    }


def _label(thing: Named) -> str:
    return harmless(thing.name or thing.id)
