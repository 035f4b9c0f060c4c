"""Who holds which administrator role, as far as the local copy knows it."""

from __future__ import annotations

from pingone_mcp.directory.models import RoleAssignment, RoleScope
from pingone_mcp.replica.asking.conditions import both
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.asking.users import EXISTS


def every_role(copy: Snapshot) -> list[tuple[str, RoleAssignment]]:
    """Return the roles of all users who are served, with the ids of those who hold them, user after user."""
    who = both(copy.places.served(copy.places.environments(None)), EXISTS)
    rows = copy.database.execute(
        "SELECT r.user_id, r.role_id, r.role_name, r.scope_type, r.scope_id, r.scope_name "  # noqa: S608 - our own text
        f"FROM role_assignments_ r JOIN users_ u ON u.id = r.user_id WHERE {who.sql} "
        "ORDER BY r.user_id, r.role_name, r.scope_name",
        who.values,
    )
    return [
        (user, RoleAssignment(id=role, name=name, scope=RoleScope(id=scope, type=kind, name=over) if scope else None))
        for user, role, name, kind, scope, over in rows
    ]
