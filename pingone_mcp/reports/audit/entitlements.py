"""The rows of an access review that people sign: one for each person and each thing that this person may use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pingone_mcp.directory.models import JsonObject, Named, RoleScope
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.reports.review import Row

ENTITLEMENT_COLUMNS: tuple[str, ...] = (
    *("user_id", "username", "name", "email", "department", "title", "type", "status", "status_reasons"),
    *("manager", "manager_id", "manager_email", "environment", "environment_id", "population", "population_id"),
    *("kind", "entitlement", "entitlement_id", "how", "through", "through_ids", "scope_type", "scope", "scope_id"),
    *("since", "last_sign_on", "mfa", "privileged", "flags", "created_at", "reviewer", "decision", "comment"),
)
"""The columns of a review that is to be signed; the last three are empty, for who signs."""
FOR_REVIEWER = ("reviewer", "decision", "comment")
DECISIONS = ("keep", "revoke", "change")

EntitlementKind = Literal["group", "role", "none"]
HowHeld = Literal["direct", "indirect", "by filter"]
"""Of one's own, through groups in between, or because the filter of a group fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """A group or an administrator role that somebody has, or `none`: what was asked for is only where the person is.

    `chains` are the ways into a group that a person is in by nesting: each the groups from the person's own one on,
    without the last. `since` is when it began, where that is known.
    """

    kind: EntitlementKind
    what: Named | None = None
    how: HowHeld | None = None
    chains: tuple[tuple[Named, ...], ...] = ()
    scope: RoleScope | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonReviewed:
    """A person of a review: what it says of everybody (`row`), and what is to be known to sign it."""

    row: Row
    title: str | None
    manager: str | None
    manager_id: str | None
    manager_email: str | None
    environment: Named
    population: Named | None


def entitlement_rows(person: PersonReviewed, entitlements: Sequence[Entitlement]) -> Iterator[JsonObject]:
    """Give a row for each thing that somebody has; one of kind `none` where there is nothing."""
    row = person.row
    about: JsonObject = {
        **{name: getattr(row, name) for name in ("username", "name", "email", "department", "type", "status")},
        "user_id": row.id,
        "title": person.title,
        "status_reasons": row.status_reasons,
        "manager": person.manager,
        "manager_id": person.manager_id,
        "manager_email": person.manager_email,
        "environment": _name(person.environment),
        "environment_id": person.environment.id,
        "population": _name(person.population),
        "population_id": person.population.id if person.population is not None else None,
        "last_sign_on": row.last_sign_on,
        "mfa": row.mfa,
        "privileged": "yes" if "privileged" in row.flags else "unknown" if "roles_unknown" in row.flags else "no",
        "flags": row.flags,
        "created_at": row.created_at,
    }
    for one in entitlements or (Entitlement(kind="none"),):
        scope = one.scope
        yield about | {
            "kind": one.kind,
            "entitlement": _name(one.what),
            "entitlement_id": one.what.id if one.what is not None else None,
            "how": one.how,
            "through": [" > ".join(harmless(group.name or group.id) for group in chain) for chain in one.chains],
            "through_ids": [" > ".join(group.id for group in chain) for chain in one.chains],
            "scope_type": harmless(scope.type).lower() if scope is not None else None,
            "scope": harmless(scope.name) if scope is not None and scope.name is not None else None,
            "scope_id": scope.id if scope is not None else None,
            "since": one.since,
        }


def _name(thing: Named | None) -> str | None:
    return None if thing is None or thing.name is None else harmless(thing.name)
