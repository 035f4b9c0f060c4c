"""What an assistant needs to know to write a query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.replica.store.schema import VIEWS

if TYPE_CHECKING:
    from pingone_mcp.directory.models import JsonObject


EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        "Active users per department",
        "SELECT department, count(*) AS users FROM users WHERE status = 'active' GROUP BY 1 ORDER BY 2 DESC",
    ),
    (
        "Enabled, but without a sign-on in 90 days",
        (
            "SELECT username, last_login_at FROM users WHERE enabled = 1 AND (last_login_at IS NULL OR "
            "last_login_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-90 days')) ORDER BY last_login_at"
        ),
    ),
    (
        "Who has access but is not active",
        (
            "SELECT u.username, u.status, u.status_reasons, m.group_name FROM users u JOIN memberships m ON m.user_id = u.id "
            "WHERE u.status <> 'active'"
        ),
    ),
    (
        "Managers with the most reports",
        (
            "SELECT m.name, count(*) AS reports FROM users u JOIN users m ON m.id = u.manager_id GROUP BY m.id "
            "ORDER BY reports DESC LIMIT 10"
        ),
    ),
    (
        "A custom attribute",
        "SELECT json_extract(custom_attributes, '$.costCenter') AS cost_center, count(*) FROM users GROUP BY 1",
    ),
    (
        "People by words",
        "SELECT u.* FROM people JOIN users u ON u.id = people.id WHERE people MATCH 'ann* AND engineer' ORDER BY rank",
    ),
)
"""What a query may look like; a test runs each."""


_TYPES = (
    "Text; at, *_at: UTC like 2025-01-31T09:00:00.000Z; enabled, is_*: 0, 1 or NULL (not known); "
    "*_count, changes.id: integers; custom_attributes, before, after: JSON"
)


# Columns whose name does not say it all; `schema.VIEWS` has the words.
_DESCRIBED = frozenset("status status_reasons manager_id custom_attributes group_type type kind evidence".split())


def describe_views() -> JsonObject:
    """Return what an assistant needs to write a query: views, their columns, types, what they mean, and examples."""
    users = VIEWS["users"].columns
    views: dict[str, str] = {}
    for name, view in VIEWS.items():
        shared = users.keys() if name == "removed_users" else set[str]()
        columns = [
            f"{column} ({about})" if column in _DESCRIBED else column
            for column, about in view.columns.items()
            if column not in shared
        ]
        views[name] = f"{view.about} Columns: {'those of users, ' if shared else ''}{', '.join(columns)}"
    return {"dialect": "SQLite", "types": _TYPES, "views": views, "examples": dict(EXAMPLES)}
