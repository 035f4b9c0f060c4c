"""Who has access, by which way, and what deserves a look: the rows and counts of an access review."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pingone_mcp.directory.matching.identity import domain_key, folded
from pingone_mcp.directory.models import JsonObject, Named, RoleScope, User
from pingone_mcp.directory.rows import plain
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
    """How access came: `what` is the group, role or population; `since` is when, where that is known.

    `via` are the groups between the person and `what`, the person's own one first (indirect); a role has a scope.
    """

    kind: HowKind
    what: Named
    via: tuple[Named, ...] = ()
    scope: RoleScope | None = None
    since: datetime | None = None

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One person with all the ways by which access came.

    `roles` are all administrator roles that the person has, be they asked for or not; None where they were not read.
    """

    user: User
    how: tuple[Way, ...]
    roles: tuple[Way, ...] | None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    counts: Mapping[str, int | None]
    rows: tuple[Row, ...]

    def to_json(self, rows: int | None = None) -> JsonObject:
        """Return JSON-ready data, counts first, with at most `rows` rows: those with most flags first."""
        return {"counts": dict(self.counts), "rows": plain(sorted(self.rows, key=by_flags)[:rows])}


def by_flags(row: Row) -> tuple[int, str, str]:
    """Return the place of a row where those come first that deserve a look most."""
    return -sum(flag != ROLES_UNKNOWN for flag in row.flags), folded(row.username or ""), row.id


class Reviewing:
    """Turns access into rows, each person once, and counts on the way.

    `idle_days` without a sign-in are worth a flag. `own_domains` are the organization's domains of mail: without them
    nobody is called external. `privileged` says which ways give power over others; by default every role does.
    """

    def __init__(
        self,
        now: datetime,
        *,
        idle_days: int = IDLE_DAYS,
        own_domains: Collection[str] | None = None,
        privileged: Callable[[Way], bool] = lambda way: way.kind == "role",
    ) -> None:
        self._now = now
        self._idle_days = idle_days
        self._own = None if own_domains is None else frozenset(map(domain_key, own_domains))
        self._privileged = privileged
        self._people = 0
        self._mfa_unknown = 0
        self._roles_unknown = 0
        self._flags = Counter(
            dict.fromkeys(
                (
                    "inactive_with_access",
                    "never_signed_in",
                    f"no_sign_in_for_{idle_days}_days",
                    "no_mfa",
                    *(("external",) if self._own is not None else ()),
                    "privileged",
                ),
                0,
            )
        )
        self._how: Counter[HowKind] = Counter()
        self._statuses: Counter[str] = Counter()

    def row(self, access: Access) -> Row:
        """Return the row of one person, and count it."""
        user, flags = access.user, tuple(self._flags_of(access))
        self._people += 1
        self._mfa_unknown += user.is_2fa_enabled is None
        self._roles_unknown += ROLES_UNKNOWN in flags
        self._flags.update(flag for flag in flags if flag != ROLES_UNKNOWN)
        self._how.update({way.kind for way in access.how})
        self._statuses[harmless(user.status)] += 1
        return Row(
            id=user.id,
            username=_shown(user.username),
            name=_shown(user.name),
            email=_shown(user.email),
            department=_shown(user.department),
            manager=_shown(_manager(user)),
            type=_shown(user.type),
            status=harmless(user.status),
            status_reasons=user.status_reasons,
            how=tuple(dict.fromkeys(map(str, access.how))),
            since=min((way.since for way in access.how if way.since is not None), default=None),
            last_sign_on=user.last_login_at,
            mfa="unknown" if user.is_2fa_enabled is None else "yes" if user.is_2fa_enabled else "no",
            flags=flags,
            created_at=user.created_at,
        )

    def counts(self) -> dict[str, int | None]:
        """Return the counts of the rows made so far: people, by flag, by way, by status.

        A flag that nobody was found to have is null where it is not known of somebody.
        """
        unknown = {"no_mfa": self._mfa_unknown, "privileged": self._roles_unknown}
        return {
            "people": self._people,
            **{f"flag.{name}": count or (None if unknown.get(name) else 0) for name, count in self._flags.items()},
            "mfa_unknown": self._mfa_unknown,
            "roles_unknown": self._roles_unknown,
            **{f"how.{kind}": count for kind, count in sorted(self._how.items())},
            **{f"status.{status}": count for status, count in sorted(self._statuses.items())},
        }

    def _flags_of(self, access: Access) -> Iterator[str]:
        user = access.user
        if user.status in ("inactive", "deleted"):
            yield "inactive_with_access"
        if user.last_login_at is None:
            yield "never_signed_in"
        elif self._now - user.last_login_at > timedelta(days=self._idle_days):
            yield f"no_sign_in_for_{self._idle_days}_days"
        if user.is_2fa_enabled is False:
            yield "no_mfa"
        _, at, domain = (user.email or "").rpartition("@")
        if self._own is not None and at and domain_key(domain.strip()) not in self._own:
            yield "external"
        if any(map(self._privileged, (*access.how, *(access.roles or ())))):
            yield "privileged"
        elif access.roles is None:
            yield ROLES_UNKNOWN


def review(
    people: Iterable[Access],
    now: datetime,
    *,
    idle_days: int = IDLE_DAYS,
    own_domains: Collection[str] | None = None,
    privileged: Callable[[Way], bool] = lambda way: way.kind == "role",
) -> Review:
    """Return the review of all people, each of whom comes once; arguments as in `Reviewing`."""
    reviewing = Reviewing(now, idle_days=idle_days, own_domains=own_domains, privileged=privileged)
    rows = tuple(reviewing.row(access) for access in people)
    return Review(counts=reviewing.counts(), rows=rows)


def _manager(user: User) -> str | None:
    manager = user.manager
    return None if manager is None else manager.email or manager.username or manager.name or manager.reference


def _shown(text: str | None) -> str | None:
    return None if text is None else harmless(text)


def _label(thing: Named) -> str:
    return harmless(thing.name or thing.id)
