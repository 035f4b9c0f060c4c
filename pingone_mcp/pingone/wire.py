"""PingOne's JSON as unified models: the only file with PingOne's field names.

Absent, null and false are kept apart: absent and null become None, false stays false. Values outside the known
enumerations are kept as they came; one of another type than PingOne documents is left out and named, and what is beside
it stays. Source: PingOne Platform API, "Users", "Groups", "Populations",
"Environments", "Audit activities".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from pingone_mcp.directory.models import (
    Address,
    Email,
    Event,
    Group,
    GroupMembership,
    JsonObject,
    Manager,
    Named,
    Organization,
    Phone,
    Role,
    RoleAssignment,
    RoleScope,
    StatusReason,
    StatusSource,
    User,
    Workspace,
)
from pingone_mcp.directory.text.json_text import shallow
from pingone_mcp.errors import UnexpectedAnswer

T = TypeVar("T")
Read = tuple[T, tuple[str, ...]]
"""What was read, and the paths of what could not be."""

# Attributes of PingOne's core user schema; every other one at the top level is custom.
CORE_ATTRIBUTES = frozenset(
    "id environment createdAt updatedAt username email emailVerified enabled account lifecycle verifyStatus "
    "mfaEnabled identityProvider lastSignOn name address primaryPhone mobilePhone nickname title type locale "
    "preferredLanguage timezone externalId accountId photo population password memberOfGroupIDs "
    "memberOfGroupNames _links _embedded".split()
)
_ADDRESS = {
    "street": "streetAddress",
    "city": "locality",
    "region": "region",
    "postal_code": "postalCode",
    "country": "countryCode",
}
_EMPTY: JsonObject = {}
_UNREADABLE = "UNREADABLE_ANSWER"
# Many users share a status and a place, and values that never change need not be made again for each.
_status_source = lru_cache(maxsize=1024)(StatusSource)
_place = lru_cache(maxsize=1024)(Named)


def user(
    raw: JsonObject,
    *,
    attributes: Mapping[str, str],
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
    remote_data: bool = False,
) -> User:
    """Return the unified user. `attributes` says which custom attributes hold `department` and `manager`.

    `environments` and `populations` give names by id. What is not of its documented type is left out, and named in
    `unreadable`. Raises UnexpectedAnswer for an object without an id.
    """

    def read(raw: JsonObject) -> User:
        return _user(raw, attributes, environments, populations)

    found, unread = _leniently(raw, read)
    if not unread and not remote_data:
        return found
    mapped = {attribute: (name,) for name, attribute in attributes.items()}
    return replace(
        found,
        custom_attributes=_custom(raw),
        unreadable=_unified(unread, {**_OF_A_USER, **mapped}),
        remote_data=shallow(raw) if remote_data else None,
    )


def _user(
    raw: JsonObject,
    attributes: Mapping[str, str],
    environments: Mapping[str, str | None] | None,
    populations: Mapping[str, str | None] | None,
) -> User:
    account = _object(raw, "account")
    name = _object(raw, "name")
    source = _status_source(
        enabled=_flag(raw, "enabled"),
        account_status=_text(account, "status"),
        lifecycle_status=_text(_object(raw, "lifecycle"), "status"),
    )
    status, reasons = status_of(source)
    given, family = _text(name, "given"), _text(name, "family")
    email = _text(raw, "email")
    account_id = _text(raw, "accountId")
    address = _object(raw, "address")
    return User(
        id=_id(raw, "user"),
        username=_text(raw, "username"),
        external_id=_text(raw, "externalId"),
        identifiers={"account_id": account_id} if account_id is not None else None,
        name=_text(name, "formatted") or " ".join(filter(None, (given, family))) or None,
        first_name=given,
        last_name=family,
        emails=() if email is None else (Email(email=email, type="work", is_primary=True),),
        phones=_phone(raw, "primaryPhone", "primary") + _phone(raw, "mobilePhone", "mobile"),
        title=_text(raw, "title"),
        department=_text(raw, attributes.get("department", "")),
        manager=_manager(raw, attributes.get("manager", "")),
        type=_text(raw, "type"),
        status=status,
        status_reasons=reasons,
        status_source=source,
        is_email_verified=_flag(raw, "emailVerified"),
        is_2fa_enabled=_flag(raw, "mfaEnabled"),
        organizations=_named(raw, "environment", environments),
        workspaces=_named(raw, "population", populations),
        locale=_text(raw, "locale"),
        timezone=_text(raw, "timezone"),
        preferred_language=_text(raw, "preferredLanguage"),
        address=_address(address) if address else None,
        avatar_url=_text(_object(raw, "photo"), "href"),
        last_login_at=_time(_object(raw, "lastSignOn"), "at"),
        locked_at=_time(account, "lockedAt"),
        created_at=_time(raw, "createdAt"),
        updated_at=_time(raw, "updatedAt"),
        custom_attributes=_custom(raw),
    )


def _custom(raw: JsonObject) -> JsonObject:
    return {key: shallow(value) for key, value in raw.items() if key not in CORE_ATTRIBUTES}


def status_of(source: StatusSource) -> tuple[str, tuple[StatusReason, ...]]:
    """Return unified status and reasons. What the known values do not cover is returned raw, never guessed."""
    enabled, account, lifecycle = source.enabled, source.account_status, source.lifecycle_status
    if enabled is False:
        return "inactive", ("disabled", "locked") if account == "LOCKED" else ("disabled",)
    if enabled is True and account == "LOCKED":
        return "inactive", ("locked",)
    if enabled is True and account == "OK":
        if lifecycle in ("ACCOUNT_OK", None):
            return "active", ()
        if lifecycle == "VERIFICATION_REQUIRED":
            return "invited", ("verification_required",)
        return lifecycle or "unknown", ()
    return account or lifecycle or "unknown", ()


def group(raw: JsonObject, *, populations: Mapping[str, str | None] | None = None, remote_data: bool = False) -> Group:
    """Return the unified group; what cannot be read of it is named in `unreadable`.

    `member_count` is None for a dynamic group: PingOne counts its members in the total only.
    """

    def read(raw: JsonObject) -> Group:
        direct, total = _object(raw, "directMemberCounts"), _object(raw, "totalMemberCounts")
        user_filter = _text(raw, "userFilter")
        workspaces = _named(raw, "population", populations)
        return Group(
            id=_id(raw, "group"),
            name=_text(raw, "name"),
            description=_text(raw, "description"),
            external_id=_text(raw, "externalId"),
            group_type="external" if raw.get("sourceType") else "dynamic" if user_filter else "custom",
            organization=Named(id=_text(_object(raw, "environment"), "id") or ""),
            workspace=workspaces[0] if workspaces else None,
            member_count=None if user_filter else _count(direct, "users"),
            group_count=_count(direct, "groups"),
            total_member_count=_count(total, "users"),
            user_filter=user_filter,
            created_at=_time(raw, "createdAt"),
            updated_at=_time(raw, "updatedAt"),
        )

    found, unread = _leniently(raw, read)
    if not unread and not remote_data:
        return found
    return replace(found, unreadable=_unified(unread, _OF_A_GROUP), remote_data=shallow(raw) if remote_data else None)


def workspace(raw: JsonObject) -> Workspace:
    """Return the unified population; what cannot be read of it is named in `unreadable`."""

    def read(raw: JsonObject) -> Workspace:
        return Workspace(
            id=_id(raw, "population"),
            name=_text(raw, "name"),
            user_count=_count(raw, "userCount"),
            is_default=_flag(raw, "default"),
        )

    found, unread = _leniently(raw, read)
    return replace(found, unreadable=_unified(unread, _OF_A_POPULATION)) if unread else found


def organization(raw: JsonObject) -> Organization:
    """Return the unified environment, without what cannot be read of it."""

    def read(raw: JsonObject) -> Organization:
        return Organization(
            id=_id(raw, "environment"),
            name=_text(raw, "name"),
            type=_text(raw, "type"),
            region=_text(raw, "region"),
        )

    return _leniently(raw, read)[0]


def role(raw: JsonObject) -> Role:
    """Return the unified role, without what cannot be read of it."""

    def read(raw: JsonObject) -> Role:
        scopes = raw.get("applicableTo")
        return Role(
            id=_id(raw, "role"),
            name=_text(raw, "name"),
            description=_text(raw, "description"),
            scope_types=tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else (),
        )

    return _leniently(raw, read)[0]


def membership(raw: JsonObject) -> GroupMembership:
    """Return a membership, without what cannot be read of it."""
    return _membership(raw)[0]


def _membership(raw: JsonObject) -> Read[GroupMembership]:
    def read(raw: JsonObject) -> GroupMembership:
        kind = _text(raw, "type")
        group = _object(raw, "_embedded").get("group")
        other = group.get("name") if isinstance(group, dict) else None
        return GroupMembership(
            id=_id(raw, "group membership"),
            name=_text(raw, "name") or (other if isinstance(other, str) else None),
            type=kind.lower() if kind in ("DIRECT", "INDIRECT") else kind,
        )

    return _leniently(raw, read)


def _role_assignment(
    raw: JsonObject, roles: Mapping[str, str | None], places: Mapping[str, str | None]
) -> Read[RoleAssignment]:
    def read(raw: JsonObject) -> RoleAssignment:
        scope = _object(raw, "scope")
        role_id = _id(_object(raw, "role"), "role assignment")
        scope_id, scope_type = _text(scope, "id"), _text(scope, "type")
        return RoleAssignment(
            id=role_id,
            name=roles.get(role_id),
            scope=RoleScope(id=scope_id, type=scope_type.lower(), name=places.get(scope_id))
            if scope_id and scope_type
            else None,
        )

    return _leniently(raw, read)


def memberships(raws: Sequence[JsonObject]) -> tuple[tuple[GroupMembership, ...], bool]:
    """Return the memberships that have an id, and whether those are all, each read whole."""
    found, left_out = readable(raws, _membership)
    return tuple(one for one, _ in found), not left_out and not any(unread for _, unread in found)


def role_assignments(
    raws: Sequence[JsonObject], *, roles: Mapping[str, str | None], places: Mapping[str, str | None]
) -> tuple[tuple[RoleAssignment, ...], bool]:
    """Return the role assignments whose role is known, and whether all of them, and all of each, could be read.

    Each has the names of its role and of the place that it is scoped to, where these are known.
    """
    found, left_out = readable(raws, lambda raw: _role_assignment(raw, roles, places))
    return tuple(one for one, _ in found), not left_out and not any(unread for _, unread in found)


def event(raw: JsonObject) -> Event:
    """Return an audit event about its first user; one that names no user has no subject.

    What cannot be read of it is left out. Raises UnexpectedAnswer for one without an id or a time.
    """

    def read(raw: JsonObject) -> Event:
        resources = raw.get("resources")
        named = [one for one in resources if isinstance(one, dict)] if isinstance(resources, list) else []
        subject = next((one for one in named if one.get("type") == "USER"), _EMPTY)
        actors = _object(raw, "actors")
        actor = next((one for key in ("user", "client") if isinstance(one := actors.get(key), dict) and one), _EMPTY)
        population = subject.get("population")
        at = _time(raw, "recordedAt") or _time(raw, "createdAt")
        if at is None:
            raise UnexpectedAnswer("PingOne's answer holds an activity without a time.", "Try again.", code=_UNREADABLE)
        return Event(
            id=_id(raw, "activity"),
            at=at,
            action=_text(_object(raw, "action"), "type") or "",
            actor=_as_text(actor.get("name")) or _as_text(actor.get("id")),
            subject_id=_as_text(subject.get("id")),
            subject_name=_as_text(subject.get("name")),
            subject_workspace_id=_as_text(population.get("id")) if isinstance(population, dict) else None,
            summary=_text(_object(raw, "result"), "description") or "",
        )

    return _leniently(raw, read)[0]


def removed_user(
    removal: Event, environment: str, *, environments: Mapping[str, str | None], populations: Mapping[str, str | None]
) -> User:
    """Return what is still known of a deleted user: id, username and where it was."""
    place = removal.subject_workspace_id
    return User(
        id=removal.subject_id or "",
        username=removal.subject_name,
        status="deleted",
        status_reasons=("removed",),
        status_source=StatusSource(),
        organizations=(Named(id=environment, name=environments.get(environment)),),
        workspaces=(Named(id=place, name=populations.get(place)),) if place else (),
    )


def readable(raws: Iterable[JsonObject], read: Callable[[JsonObject], T]) -> tuple[tuple[T, ...], int]:
    """Return what could be read, and how many things were left out: they have no id, or an event has no time."""
    found: list[T] = []
    left_out = 0
    for raw in raws:
        try:
            found.append(read(raw))
        except UnexpectedAnswer:
            left_out += 1
    return tuple(found), left_out


class _OtherType(Exception):
    """The member `key` of `holder` is not what PingOne documents."""

    def __init__(self, holder: JsonObject, key: str) -> None:
        self.holder, self.key = holder, key
        super().__init__(key)


def _leniently(raw: JsonObject, read: Callable[[JsonObject], T]) -> Read[T]:
    """Return what `read` makes of an object without the members of another type than it expects, and their paths.

    What is well is read once, at full speed; only where it is not, member after member is taken out.
    """
    try:
        return read(raw), ()
    except _OtherType:
        pass
    left = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    unread: list[str] = []
    while True:
        try:
            return read(left), tuple(unread)
        except _OtherType as wrong:
            outer = next((f"{key}." for key, value in left.items() if value is wrong.holder), "")
            unread.append(outer + wrong.key)
            del wrong.holder[wrong.key]


def _unified(unread: Iterable[str], names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the unified names of PingOne's, in their order."""
    return tuple(dict.fromkeys(name for path in unread for name in names[path]))


# Where PingOne's values go, for those that could not be read.
_OF_A_USER: Mapping[str, tuple[str, ...]] = {
    "username": ("username",),
    "externalId": ("external_id",),
    "accountId": ("identifiers",),
    "name": ("name", "first_name", "last_name"),
    "name.formatted": ("name",),
    "name.given": ("first_name",),
    "name.family": ("last_name",),
    "email": ("emails",),
    "primaryPhone": ("phones",),
    "mobilePhone": ("phones",),
    "title": ("title",),
    "type": ("type",),
    "enabled": ("status",),
    "account": ("status", "locked_at"),
    "account.status": ("status",),
    "account.lockedAt": ("locked_at",),
    "lifecycle": ("status",),
    "lifecycle.status": ("status",),
    "emailVerified": ("is_email_verified",),
    "mfaEnabled": ("is_2fa_enabled",),
    "environment": ("organizations",),
    "environment.id": ("organizations",),
    "population": ("workspaces",),
    "population.id": ("workspaces",),
    "locale": ("locale",),
    "timezone": ("timezone",),
    "preferredLanguage": ("preferred_language",),
    "address": ("address",),
    **{f"address.{part}": ("address",) for part in _ADDRESS.values()},
    "photo": ("avatar_url",),
    "photo.href": ("avatar_url",),
    "lastSignOn": ("last_login_at",),
    "lastSignOn.at": ("last_login_at",),
    "createdAt": ("created_at",),
    "updatedAt": ("updated_at",),
}
_OF_A_GROUP: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "description": ("description",),
    "externalId": ("external_id",),
    "environment": ("organization",),
    "environment.id": ("organization",),
    "population": ("workspace",),
    "population.id": ("workspace",),
    "directMemberCounts": ("member_count", "group_count"),
    "directMemberCounts.users": ("member_count",),
    "directMemberCounts.groups": ("group_count",),
    "totalMemberCounts": ("total_member_count",),
    "totalMemberCounts.users": ("total_member_count",),
    "userFilter": ("user_filter", "group_type", "member_count"),
    "createdAt": ("created_at",),
    "updatedAt": ("updated_at",),
}
_OF_A_POPULATION: Mapping[str, tuple[str, ...]] = {
    "name": ("name",),
    "userCount": ("user_count",),
    "default": ("is_default",),
}


def _id(raw: JsonObject, what: str) -> str:
    value = raw.get("id")
    if not isinstance(value, str) or not value:
        raise UnexpectedAnswer(f"PingOne's answer holds a {what} without an id.", "Try again.", code=_UNREADABLE)
    return value


def _object(raw: JsonObject, key: str) -> JsonObject:
    value = raw.get(key)
    if isinstance(value, dict):
        return value
    if value is not None:
        raise _OtherType(raw, key)
    return _EMPTY


def _text(raw: JsonObject, key: str) -> str | None:
    value = raw.get(key)
    if value is None or isinstance(value, str):
        return value
    raise _OtherType(raw, key)


def _as_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(raw: JsonObject, key: str) -> int | None:
    value = raw.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise _OtherType(raw, key)


def _flag(raw: JsonObject, key: str) -> bool | None:
    value = raw.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise _OtherType(raw, key)


def _time(raw: JsonObject, key: str) -> datetime | None:
    """Return a time in UTC; PingOne writes RFC 3339 with milliseconds and Z."""
    value = raw.get(key)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is UTC:
            return at
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _OtherType(raw, key) from None


def _phone(raw: JsonObject, key: str, kind: str) -> tuple[Phone, ...]:
    number = _text(raw, key)
    return () if number is None else (Phone(number=number, type=kind),)


def _named(raw: JsonObject, key: str, names: Mapping[str, str | None] | None) -> tuple[Named, ...]:
    identity = _text(_object(raw, key), "id")
    return () if identity is None else (_place(id=identity, name=names.get(identity) if names else None),)


def _address(raw: JsonObject) -> Address:
    return Address(**{part: _text(raw, key) for part, key in _ADDRESS.items()})


def _manager(raw: JsonObject, key: str) -> Manager | None:
    """Return the manager as the attribute names it: a text, or an object that carries an id, value or username."""
    value = raw.get(key)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return Manager(reference=value)
    if isinstance(value, dict):
        named = next((v for key in ("id", "value", "username", "email") if isinstance(v := value.get(key), str)), None)
        return Manager(reference=named or json.dumps(shallow(value), ensure_ascii=False))
    raise _OtherType(raw, key)
