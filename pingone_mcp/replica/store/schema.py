"""What the local copy looks like: tables that only a sync writes, and the views that everybody else reads.

Names of base tables end with an underscore. The views, and `people` for searching words, are the whole surface for
agents; `VIEWS` tells what their columns mean. Times are RFC 3339 in UTC with milliseconds and Z, booleans 0, 1 or NULL
(the provider does not say), lists and objects JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from pingone_mcp.directory.user_columns import UserRow

VERSION = 5
"""The schema version, kept as the file's `user_version`."""

PAGE_BYTES = 16_384
"""How large the pages of a new file are: rows of users are long, and larger pages take less work for each."""

USER_COLUMNS = UserRow._fields
"""The columns of a user that come from one answer of the provider."""
USER_WITH_REMOTE_DATA = ", ".join(f"u.{name}" for name in USER_COLUMNS)
USER = USER_WITH_REMOTE_DATA.replace("u.remote_data", "NULL")
"""What `rows.user_of` makes a user of, to be selected from users_ as `u`; without what the provider sent."""


class GroupRow(NamedTuple):
    """A group as a row of the copy; times are RFC 3339 in UTC with milliseconds and Z."""

    id: str
    environment_id: str
    name: str | None
    description: str | None
    external_id: str | None
    group_type: str | None
    population_id: str | None
    user_filter: str | None
    member_count: int | None
    total_member_count: int | None
    created_at: str | None
    updated_at: str | None


GROUP_COLUMNS = GroupRow._fields

_LONG_COLUMNS = ("custom_attributes", "more", "all_attributes", "remote_data")
REMOVED = "u.removed_at IS NOT NULL AND u.status_reasons = 'removed'"
"""Who was removed from the directory. Others with `removed_at` left the populations served, and keep their reasons."""

# What is long stands last, so that what is in front of it is read without it. `number` is the rowid under a name of its
# own, so that it survives a VACUUM: `people` points at it.
USERS_TABLE = f"""(
    number INTEGER PRIMARY KEY,
    {", ".join("id TEXT NOT NULL UNIQUE" if name == "id" else name for name in USER_COLUMNS if name not in _LONG_COLUMNS)},
    manager_id TEXT,
    removed_at TEXT,
    removed_evidence TEXT,
    {", ".join(_LONG_COLUMNS)}
)"""

_NO_CHANGE = ("last_login_at", "remote_data")
_SIGNED_ON, _WAS_SIGNED_ON = (", ".join(f"{table}.{name}" for name in _NO_CHANGE) for table in "su")
_READ, _KNOWN = (", ".join(f"{table}.{name}" for name in USER_COLUMNS if name not in _NO_CHANGE) for table in "su")
ALTERED = f"(u.id IS NULL OR u.removed_at IS NOT NULL OR ({_READ}) IS NOT ({_KNOWN}))"
"""Who was read (`s`) and is new or different in the copy (`u`). That somebody signed on is no difference."""
SIGNED_ON = f"({_SIGNED_ON}) IS NOT ({_WAS_SIGNED_ON})"
"""Who was read and is different in what is no difference."""

UNREADABLE_INDEX = "users_unreadable_"
HAS_UNREADABLE = "unreadable IS NOT NULL AND removed_at IS NULL"
"""Users some of whose fields could not be read."""

USER_INDEXES: Mapping[str, str] = MappingProxyType(
    {
        "users_by_username_": "(username COLLATE NOCASE)",
        "users_by_email_": "(email COLLATE NOCASE)",
        "users_by_external_id_": "(external_id COLLATE NOCASE) WHERE external_id IS NOT NULL",
        "users_by_first_name_": "(first_name COLLATE NOCASE)",
        # Searches for a family name; and everybody as people look through a list, `number` telling namesakes apart.
        "users_by_last_name_": "(last_name COLLATE NOCASE, first_name COLLATE NOCASE)",
        # How many users there are in each.
        "users_by_population_": "(population_id, removed_at, environment_id)",
        "users_by_manager_": "(manager_id) WHERE manager_id IS NOT NULL",
        "users_by_reference_": "(trim(manager) COLLATE NOCASE) WHERE manager IS NOT NULL",
        # Lists in their order, and how many users are in them.
        "users_listed_": "(environment_id, removed_at, id, population_id, status, enabled)",
        # What people count by in query_directory, without whole rows being read.
        "users_counted_": "(removed_at, department, status, population_id, type, country, city, enabled)",
        # Who is disabled, locked or removed, and when.
        "users_not_active_": """(environment_id, id, status_reasons, enabled, population_id, removed_at, locked_at, created_at,
            updated_at) WHERE status_reasons <> ''""",
        UNREADABLE_INDEX: f"(environment_id, id) WHERE {HAS_UNREADABLE}",
    }
)
"""The indexes of users_ by name. A first sync makes them once everybody is there, which takes half as long."""

REMOVED_AT_IN: Mapping[str, int] = MappingProxyType(
    {"users_by_population_": 2, "users_listed_": 2, "users_counted_": 1}
)
"""Which column of an index, counted from 1, is `removed_at`."""

# Groups of which the provider counts more direct members than could be read (`found`; NULL: none could), how many of
# them are `in_copy` all the same, and how many it counts in all, direct or not.
_SHORT_GROUPS = (
    "CREATE TABLE short_groups_ (group_id TEXT PRIMARY KEY, counted, found, total, why, tries, in_copy) WITHOUT ROWID"
)
# What was read again beside syncs since the one of its environment that ended last, or is under way, began (`what`: see
# `rereads.What`), `at` the provider's time before that was read. And of the last such reread, the rows that there
# are since: it is forgotten when a sync has counted them.
_REREADS = """
CREATE TABLE reread_ (
    environment_id TEXT, what TEXT, user_id TEXT, group_id TEXT, at, PRIMARY KEY (environment_id, what, user_id, group_id)
) WITHOUT ROWID;
CREATE TABLE last_reread_ (id INTEGER PRIMARY KEY AUTOINCREMENT, counts)"""
# A person who types begins with one letter, which half of all words may begin with: those have an index of their own.
# The texts stand only in `searched_`, and not beside their words: so what they were is said before they change
# (SQLite, "FTS5", external content tables).
SEARCHED = "id, username, name, email, title, department, external_id"
_PEOPLE = f"""CREATE VIRTUAL TABLE people USING fts5(
    {SEARCHED.replace("id,", "id UNINDEXED,")}, content = searched_, content_rowid = number,
    tokenize = "unicode61 remove_diacritics 2", prefix = 1)"""
PUT_WORDS = f"INSERT INTO people (rowid, {SEARCHED}) SELECT number, {SEARCHED} FROM users_"  # noqa: S608 - our names
"""Adds the words of users who are not in `people`."""
MAKE_WORDS_ANEW = "INSERT INTO people (people) VALUES ('rebuild')"
DROP_WORDS = f"""INSERT INTO people (people, rowid, {SEARCHED}) SELECT 'delete', number, {SEARCHED} FROM main.users_
    WHERE removed_at IS NULL AND"""  # noqa: S608 - our names
"""Takes out the words of those whom a condition chooses, who are about to change or to go."""
_INDEXES = "".join(f"CREATE INDEX {name} ON users_ {columns};" for name, columns in USER_INDEXES.items())
TABLES = f"""
CREATE TABLE environments_ (id TEXT PRIMARY KEY, name, type, region) WITHOUT ROWID;
CREATE TABLE populations_ (id TEXT PRIMARY KEY, environment_id, name, is_default) WITHOUT ROWID;
CREATE TABLE users_ {USERS_TABLE};
{_INDEXES}
CREATE TABLE groups_ (id TEXT PRIMARY KEY, {", ".join(GROUP_COLUMNS[1:])}) WITHOUT ROWID;
CREATE TABLE nestings_ (group_id TEXT, parent_id TEXT, PRIMARY KEY (group_id, parent_id)) WITHOUT ROWID;
CREATE INDEX nestings_by_parent_ ON nestings_ (parent_id);
CREATE TABLE memberships_ (
    user_id TEXT, group_id TEXT, type TEXT, PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;
CREATE INDEX memberships_by_user_ ON memberships_ (user_id);
{_SHORT_GROUPS};
CREATE TABLE role_assignments_ (user_id TEXT, role_id, role_name, scope_type, scope_id, scope_name);
CREATE INDEX role_assignments_by_user_ ON role_assignments_ (user_id);
CREATE TABLE changes_ (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at, seen_at, kind, user_id, username, email, environment_id, group_id, group_name,
    before, after, evidence, actor
);
CREATE INDEX changes_by_time_ ON changes_ (at);
CREATE INDEX changes_by_user_ ON changes_ (user_id, kind, at);
CREATE TABLE sync_runs_ (id INTEGER PRIMARY KEY AUTOINCREMENT, mode, started_at, ended_at, outcome, reason, counts);
CREATE TABLE facts_ (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
{_REREADS};
{_PEOPLE};
"""

# Names of places are looked up where they are wanted: to count rows, a join would be done for each, needed or not.
_SHOWN_USER = """
    u.id, u.username, u.name, u.first_name, u.last_name, u.email, u.phone, u.mobile_phone, u.title, u.department, u.manager,
    u.manager_id, u.type, u.status, u.status_reasons, u.enabled, u.account_status, u.lifecycle_status, u.is_email_verified,
    u.is_2fa_enabled, u.locale, u.timezone, u.preferred_language, u.city, u.country, u.external_id, u.last_login_at,
    u.locked_at, u.created_at, u.updated_at, u.population_id,
    (SELECT p.name FROM populations_ p WHERE p.id = u.population_id) AS population, u.environment_id,
    (SELECT e.name FROM environments_ e WHERE e.id = u.environment_id) AS environment, u.custom_attributes"""

VIEW_STATEMENTS = f"""
CREATE VIEW searched_ AS SELECT number, {SEARCHED} FROM users_ WHERE removed_at IS NULL;
CREATE VIEW users AS SELECT {_SHOWN_USER} FROM users_ u WHERE u.removed_at IS NULL;
CREATE VIEW removed_users AS SELECT {_SHOWN_USER}, u.removed_at FROM users_ u WHERE {REMOVED};
CREATE VIEW groups AS SELECT
    g.id, g.name, g.description, g.group_type, g.user_filter,
    (SELECT count(*) FROM memberships_ m WHERE m.group_id = g.id)
        + coalesce((SELECT max(0, coalesce(
            s.total - (SELECT count(*) FROM memberships_ m WHERE m.group_id = g.id), s.counted - s.in_copy, 0
        )) FROM short_groups_ s WHERE s.group_id = g.id), 0) AS member_count,
    (SELECT count(*) FROM memberships_ m WHERE m.group_id = g.id) AS member_count_in_copy,
    g.population_id, p.name AS population, g.environment_id, e.name AS environment, g.created_at, g.updated_at, g.external_id
    FROM groups_ g LEFT JOIN populations_ p ON p.id = g.population_id LEFT JOIN environments_ e ON e.id = g.environment_id;
CREATE VIEW memberships AS SELECT
    m.user_id, (SELECT u.username FROM users_ u WHERE u.id = m.user_id) AS username, m.group_id, g.name AS group_name, m.type
    FROM memberships_ m LEFT JOIN groups_ g ON g.id = m.group_id;
CREATE VIEW populations AS SELECT
    p.id, p.name, p.is_default,
    (SELECT count(*) FROM users_ u WHERE u.population_id = p.id AND u.removed_at IS NULL) AS user_count,
    p.environment_id, e.name AS environment
    FROM populations_ p LEFT JOIN environments_ e ON e.id = p.environment_id;
CREATE VIEW environments AS SELECT id, name, type, region FROM environments_;
CREATE VIEW role_assignments AS SELECT
    r.user_id, u.username, r.role_id, r.role_name AS role, r.scope_type, r.scope_id, r.scope_name AS scope
    FROM role_assignments_ r LEFT JOIN users_ u ON u.id = r.user_id;
CREATE VIEW changes AS SELECT
    id, at, kind, user_id, username, email, group_id, group_name, before, after, evidence, actor, environment_id
    FROM changes_;
"""  # noqa: S608 - nothing from outside is in it

_ATTRIBUTES = "coalesce(json_extract(record, '$.custom_attributes'), '{}')"
# Until version 2 a user was a JSON record, with columns for what is queried. What stood in neither is taken out of it.
_IN_RECORD: Mapping[str, str] = MappingProxyType(
    {
        **{
            # A lone surrogate would be no Unicode in a column; GLOB takes it for U+FFFD, which replace does not.
            name: f"""CASE WHEN instr(record, '\\ud')
            AND replace(json_extract(record, '{path}'), char(65533), '') GLOB '*' || char(65533) || '*' THEN NULL
            ELSE json_extract(record, '{path}') END"""
            for name, path in {
                "street": "$.address.street",
                "region": "$.address.region",
                "postal_code": "$.address.postal_code",
                "avatar_url": "$.avatar_url",
            }.items()
        },
        "unreadable": "(SELECT group_concat(value) FROM json_each(record, '$.unreadable'))",
        # Keys are in order in a record, letters beyond ASCII are escaped, and nothing is too long for it.
        "custom_attributes": f"""CASE WHEN instr({_ATTRIBUTES}, '\\u') = 0 AND length({_ATTRIBUTES}) <= 8000
            THEN {_ATTRIBUTES} ELSE custom_attributes END""",
        "all_attributes": f"CASE WHEN length({_ATTRIBUTES}) > 8000 OR instr({_ATTRIBUTES}, '\\ud') THEN {_ATTRIBUTES} END",
        "more": """(SELECT nullif(json_group_object(name, json(value)), '{}') FROM (
            SELECT 'emails' AS name, coalesce(json_extract(record, '$.emails'), '[]') AS value, CASE
                WHEN email IS NULL THEN '[]'
                ELSE json_array(json_object('email', email, 'is_primary', json('true'), 'type', 'work')) END AS usual
            UNION ALL SELECT 'identifiers', json_extract(record, '$.identifiers'), NULL
            UNION ALL SELECT 'organizations',
                (SELECT json_group_array(json_extract(value, '$.id')) FROM json_each(record, '$.organizations')),
                json_array(environment_id)
            UNION ALL SELECT 'phones', coalesce(json_extract(record, '$.phones'), '[]'), (
                SELECT json_group_array(json_object('number', number, 'type', type)) FROM (
                    SELECT phone AS number, 'primary' AS type UNION ALL SELECT mobile_phone, 'mobile')
                WHERE number IS NOT NULL)
            UNION ALL SELECT 'workspaces',
                (SELECT json_group_array(json_extract(value, '$.id')) FROM json_each(record, '$.workspaces')),
                CASE WHEN population_id IS NULL THEN '[]' ELSE json_array(population_id) END
        ) WHERE value IS NOT usual)""",
        "remote_data": "json_extract(record, '$.remote_data')",
    }
)
_KEPT_OF_USERS = ("number", *USER_COLUMNS, "manager_id", "removed_at", "removed_evidence")

MIGRATIONS: Mapping[int, str] = MappingProxyType(
    {
        1: _SHORT_GROUPS,
        2: f"""
        ALTER TABLE users_ RENAME TO recorded_;
        CREATE TABLE users_ {USERS_TABLE};
        INSERT INTO users_ ({", ".join(_KEPT_OF_USERS)})
            SELECT {", ".join(_IN_RECORD.get(name, name) for name in _KEPT_OF_USERS)} FROM recorded_ ORDER BY number;
        DROP TABLE recorded_;
        {_INDEXES}
        DROP TABLE people;
        {_PEOPLE};
        {PUT_WORDS} WHERE removed_at IS NULL ORDER BY number""",  # noqa: S608 - our names
        3: _REREADS,
        4: f"""
        DROP INDEX users_by_last_name_;
        CREATE INDEX users_by_last_name_ ON users_ {USER_INDEXES["users_by_last_name_"]};
        DROP TABLE people;
        {_PEOPLE};
        {PUT_WORDS} WHERE removed_at IS NULL ORDER BY number""",
    }
)
"""By schema version: the statements that lead from it to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A view (or the table of words) as it is described to an agent."""

    about: str
    columns: Mapping[str, str]


_USER_MEANINGS: Mapping[str, str] = {
    "id": "PingOne's user id (UUID)",
    "username": "unique within an environment, compared without case",
    "name": "whole name, as formatted",
    "first_name": "given name",
    "last_name": "family name",
    "email": "primary address",
    "phone": "primary phone",
    "mobile_phone": "mobile phone",
    "title": "job title",
    "department": "department, from the custom attribute that is configured",
    "manager": "who manages the user, as PingOne holds it: an id, a username or an address",
    "manager_id": "users.id of the manager where it was found in the same environment, else NULL",
    "type": "kind of user, as PingOne holds it (for example contractor)",
    "status": "active, inactive, invited, deleted; any other value is PingOne's own",
    "status_reasons": "why the status is not active, comma-joined: disabled, locked, verification_required, removed; '' if none",
    "enabled": "0 when an administrator disabled the account",
    "account_status": "PingOne's account status: OK or LOCKED",
    "lifecycle_status": "PingOne's lifecycle status: ACCOUNT_OK or VERIFICATION_REQUIRED",
    "is_email_verified": "1 when the address was verified",
    "is_2fa_enabled": "1 when a second factor is on; NULL is not 0",
    "locale": "locale",
    "timezone": "IANA time zone",
    "preferred_language": "preferred language",
    "city": "city of the address",
    "country": "country code of the address",
    "external_id": "id in the system that the user came from",
    "last_login_at": "last sign-on; NULL when none is known",
    "locked_at": "since when the account is locked",
    "created_at": "when the user was created",
    "updated_at": "when the user was changed last",
    "population_id": "populations.id",
    "population": "name of the population",
    "environment_id": "environments.id",
    "environment": "name of the environment",
    "custom_attributes": "JSON object of all attributes outside PingOne's core schema; use json_extract",
}

VIEWS: Mapping[str, View] = MappingProxyType(
    {
        "users": View(about="Every user that exists now.", columns=_USER_MEANINGS),
        "removed_users": View(
            about="Users that are gone, as they were last known; status is deleted.",
            columns={**_USER_MEANINGS, "removed_at": "when the user was removed, or was first seen to be gone"},
        ),
        "groups": View(
            about="Every group.",
            columns={
                "id": "PingOne's group id (UUID)",
                "name": "name; may repeat across populations",
                "description": "description",
                "group_type": "custom, dynamic (by user_filter) or external",
                "user_filter": "SCIM filter that makes the members of a dynamic group",
                "member_count": "members, direct and indirect, with those PingOne counts and no sync could read",
                "member_count_in_copy": "members in the copy: fewer than member_count where some could not be read",
                "population_id": "populations.id; NULL for a group of the whole environment",
                "population": "name of the population",
                "environment_id": "environments.id",
                "environment": "name of the environment",
                "created_at": "when the group was created",
                "updated_at": "when the group was changed last",
                "external_id": "id in the system that the group came from",
            },
        ),
        "memberships": View(
            about="Who is in which group, effective: one row per user and group.",
            columns={
                "user_id": "users.id",
                "username": "username",
                "group_id": "groups.id",
                "group_name": "name of the group",
                "type": "direct, or indirect: through a nested or a dynamic group",
            },
        ),
        "populations": View(
            about="Every population (workspace).",
            columns={
                "id": "PingOne's population id (UUID)",
                "name": "name",
                "is_default": "1 for the default population",
                "user_count": "users that exist now",
                "environment_id": "environments.id",
                "environment": "name of the environment",
            },
        ),
        "environments": View(
            about="Every environment (organization) that is served.",
            columns={
                "id": "PingOne's environment id (UUID)",
                "name": "name",
                "type": "PRODUCTION or SANDBOX",
                "region": "PingOne's region",
            },
        ),
        "role_assignments": View(
            about="Administrator roles, of the users for whom they were read (of all only if the sync says so).",
            columns={
                "user_id": "users.id",
                "username": "username",
                "role_id": "PingOne's role id (UUID)",
                "role": "name of the role",
                "scope_type": "organization, environment, population or application",
                "scope_id": "id of what the role is over",
                "scope": "its name",
            },
        ),
        "changes": View(
            about="What changed, oldest first by id; before the first sync only what the audit told.",
            columns={
                "id": "grows with every change",
                "at": "when it happened, as exactly as PingOne tells",
                "kind": "user.created, .updated, .deactivated, .reactivated, .locked, .unlocked, .removed, "
                ".entered_scope, .left_scope; membership.added, .removed",
                "user_id": "users.id or removed_users.id",
                "username": "username at that time",
                "email": "address at that time",
                "group_id": "of a membership: groups.id",
                "group_name": "of a membership: name of the group at that time",
                "before": "JSON object of the fields that changed, as they were; NULL when there was nothing",
                "after": "JSON object of the fields that changed, as they are since; NULL when there is nothing",
                "evidence": "walk, event, read, accepted",
                "actor": "who did it, where an audit event says so",
                "environment_id": "environments.id",
            },
        ),
        "people": View(
            about="Full-text search of existing users: SELECT u.* FROM people JOIN users u ON u.id = people.id "
            "WHERE people MATCH 'ann*' ORDER BY rank. Put addresses in double quotes inside: '\"ann@example.com\"'.",
            columns={
                "id": "users.id",
                "username": "username",
                "name": "whole name",
                "email": "primary address",
                "title": "job title",
                "department": "department",
                "external_id": "id in the system that the user came from",
            },
        ),
    }
)
