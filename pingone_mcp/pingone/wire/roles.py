"""Roles of PingOne, and who holds them where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pingone_mcp.directory.models import JsonObject, Role, RoleAssignment, RoleScope
from pingone_mcp.pingone.wire.lenient import Read, identity, inner, leniently, readable, text


def role(raw: JsonObject) -> Role:
    """Return the unified role, without what cannot be read of it."""

    def read(raw: JsonObject) -> Role:
        scopes = raw.get("applicableTo")
        return Role(
            id=identity(raw, "role"),
            name=text(raw, "name"),
            description=text(raw, "description"),
            scope_types=tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else (),
        )

    return leniently(raw, read)[0]


def role_assignments(
    raws: Sequence[JsonObject], *, roles: Mapping[str, str | None], places: Mapping[str, str | None]
) -> tuple[tuple[RoleAssignment, ...], bool]:
    """Return the role assignments whose role is known, and whether all of them, and all of each, could be read.

    Each has the names of its role and of the place that it is scoped to, where these are known.
    """
    found, left_out = readable(raws, lambda raw: _role_assignment(raw, roles, places))
    return tuple(one for one, _ in found), not left_out and not any(unread for _, unread in found)


def _role_assignment(
    raw: JsonObject, roles: Mapping[str, str | None], places: Mapping[str, str | None]
) -> Read[RoleAssignment]:
    def read(raw: JsonObject) -> RoleAssignment:
        scope = inner(raw, "scope")
        role_id = identity(inner(raw, "role"), "role assignment")
        scope_id, scope_type = text(scope, "id"), text(scope, "type")
        return RoleAssignment(
            id=role_id,
            name=roles.get(role_id),
            scope=RoleScope(id=scope_id, type=scope_type.lower(), name=places.get(scope_id))
            if scope_id and scope_type
            else None,
        )

    return leniently(raw, read)
