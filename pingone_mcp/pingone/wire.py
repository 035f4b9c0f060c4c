"""PingOne's JSON as unified models: the only file with PingOne's field names.

Absent, null and false are kept apart: absent and null become None, false stays false. Values outside the known
enumerations are kept as they came. Source: PingOne Platform API, "Users", "Groups", "Populations",
"Environments", "Audit activities".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

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
    Scope,
    StatusReason,
    StatusSource,
    User,
    Workspace,
)
from pingone_mcp.errors import UnexpectedAnswer

# Attributes of PingOne's core user schema; every other one at the top level is custom.
CORE_ATTRIBUTES = frozenset(
    "id environment createdAt updatedAt username email emailVerified enabled account lifecycle verifyStatus "
    "mfaEnabled identityProvider lastSignOn name address primaryPhone mobilePhone nickname title type locale "
    "preferredLanguage timezone externalId accountId photo population password memberOfGroupIDs "
    "memberOfGroupNames _links _embedded".split()
)
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

    `environments` and `populations` give names by id. Raises UnexpectedAnswer for an object that is no user.
    """
    get = raw.get
    account = _object(get("account"))
    name = _object(get("name"))
    source = _status_source(
        enabled=_flag(get("enabled")),
        account_status=_text(account.get("status")),
        lifecycle_status=_text(_object(get("lifecycle")).get("status")),
    )
    status, reasons = status_of(source)
    given, family = _text(name.get("given")), _text(name.get("family"))
    email = _text(get("email"))
    account_id = _text(get("accountId"))
    address = _object(get("address"))
    return User(
        id=_id(raw, "user"),
        username=_text(get("username")),
        external_id=_text(get("externalId")),
        identifiers={"account_id": account_id} if account_id is not None else None,
        name=_text(name.get("formatted")) or " ".join(filter(None, (given, family))) or None,
        first_name=given,
        last_name=family,
        emails=() if email is None else (Email(email=email, type="work", is_primary=True),),
        phones=_phone(get("primaryPhone"), "primary") + _phone(get("mobilePhone"), "mobile"),
        title=_text(get("title")),
        department=_text(get(attributes.get("department", ""))),
        manager=_manager(get(attributes.get("manager", ""))),
        type=_text(get("type")),
        status=status,
        status_reasons=reasons,
        status_source=source,
        is_email_verified=_flag(get("emailVerified")),
        is_2fa_enabled=_flag(get("mfaEnabled")),
        organizations=_named(get("environment"), environments),
        workspaces=_named(get("population"), populations),
        locale=_text(get("locale")),
        timezone=_text(get("timezone")),
        preferred_language=_text(get("preferredLanguage")),
        address=_address(address) if address else None,
        avatar_url=_text(_object(get("photo")).get("href")),
        last_login_at=_time(_object(get("lastSignOn")).get("at")),
        locked_at=_time(account.get("lockedAt")),
        created_at=_time(get("createdAt")),
        updated_at=_time(get("updatedAt")),
        custom_attributes={key: value for key, value in raw.items() if key not in CORE_ATTRIBUTES},
        remote_data=raw if remote_data else None,
    )


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
    """Return the unified group.

    `member_count` is None for a dynamic group: PingOne counts its members in the total only.
    """
    direct, total = _object(raw.get("directMemberCounts")), _object(raw.get("totalMemberCounts"))
    user_filter = _text(raw.get("userFilter"))
    workspaces = _named(raw.get("population"), populations)
    return Group(
        id=_id(raw, "group"),
        name=_text(raw.get("name")),
        description=_text(raw.get("description")),
        external_id=_text(raw.get("externalId")),
        group_type="external" if raw.get("sourceType") else "dynamic" if user_filter else "custom",
        organization=Named(id=_text(_object(raw.get("environment")).get("id")) or ""),
        workspace=workspaces[0] if workspaces else None,
        member_count=None if user_filter else _count(direct.get("users")),
        group_count=_count(direct.get("groups")),
        total_member_count=_count(total.get("users")),
        user_filter=user_filter,
        created_at=_time(raw.get("createdAt")),
        updated_at=_time(raw.get("updatedAt")),
        remote_data=raw if remote_data else None,
    )


def workspace(raw: JsonObject) -> Workspace:
    return Workspace(
        id=_id(raw, "population"),
        name=_text(raw.get("name")),
        user_count=_count(raw.get("userCount")),
        is_default=_flag(raw.get("default")),
    )


def organization(raw: JsonObject) -> Organization:
    return Organization(
        id=_id(raw, "environment"),
        name=_text(raw.get("name")),
        type=_text(raw.get("type")),
        region=_text(raw.get("region")),
    )


def role(raw: JsonObject) -> Role:
    scopes = raw.get("applicableTo")
    return Role(
        id=_id(raw, "role"),
        name=_text(raw.get("name")),
        description=_text(raw.get("description")),
        scope_types=tuple(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else (),
    )


def membership(raw: JsonObject) -> GroupMembership:
    kind = _text(raw.get("type"))
    embedded = _object(_object(raw.get("_embedded")).get("group"))
    return GroupMembership(
        id=_id(raw, "group membership"),
        name=_text(raw.get("name")) or _text(embedded.get("name")),
        type=kind.lower() if kind in ("DIRECT", "INDIRECT") else kind,
    )


def role_assignment(
    raw: JsonObject, *, roles: Mapping[str, str | None], places: Mapping[str, str | None]
) -> RoleAssignment:
    """Return a role assignment with the names of its role and of the place that it is scoped to."""
    scope = _object(raw.get("scope"))
    role_id = _id(_object(raw.get("role")), "role assignment")
    scope_id, scope_type = _text(scope.get("id")), _text(scope.get("type"))
    return RoleAssignment(
        id=role_id,
        name=roles.get(role_id),
        scope=Scope(id=scope_id, type=scope_type.lower(), name=places.get(scope_id))
        if scope_id and scope_type
        else None,
    )


def event(raw: JsonObject) -> Event:
    """Return an audit event about its first user; one that names no user has no subject."""
    resources = raw.get("resources")
    named = [_object(one) for one in resources] if isinstance(resources, list) else []
    subject = next((one for one in named if one.get("type") == "USER"), _EMPTY)
    actors = _object(raw.get("actors"))
    actor = _object(actors.get("user")) or _object(actors.get("client"))
    at = _time(raw.get("recordedAt")) or _time(raw.get("createdAt"))
    if at is None:
        raise UnexpectedAnswer("PingOne's answer holds an activity without a time.", "Try again.", code=_UNREADABLE)
    return Event(
        id=_id(raw, "activity"),
        at=at,
        action=_text(_object(raw.get("action")).get("type")) or "",
        actor=_text(actor.get("name")) or _text(actor.get("id")),
        subject_id=_text(subject.get("id")),
        subject_name=_text(subject.get("name")),
        subject_workspace_id=_text(_object(subject.get("population")).get("id")),
        summary=_text(_object(raw.get("result")).get("description")) or "",
    )


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


def _id(raw: JsonObject, what: str) -> str:
    value = raw.get("id")
    if not isinstance(value, str) or not value:
        raise UnexpectedAnswer(f"PingOne's answer holds a {what} without an id.", "Try again.", code=_UNREADABLE)
    return value


def _object(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else _EMPTY


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(value: Any) -> datetime | None:
    """Return a time in UTC; PingOne writes RFC 3339 with milliseconds and Z."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is UTC:
            return at
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise UnexpectedAnswer("PingOne's answer holds a time that is none.", "Try again.", code=_UNREADABLE) from None


def _phone(number: Any, kind: str) -> tuple[Phone, ...]:
    return (Phone(number=number, type=kind),) if isinstance(number, str) else ()


def _named(value: Any, names: Mapping[str, str | None] | None) -> tuple[Named, ...]:
    identity = _object(value).get("id")
    return (_place(id=identity, name=names.get(identity) if names else None),) if isinstance(identity, str) else ()


def _address(raw: JsonObject) -> Address:
    return Address(
        street=_text(raw.get("streetAddress")),
        city=_text(raw.get("locality")),
        region=_text(raw.get("region")),
        postal_code=_text(raw.get("postalCode")),
        country=_text(raw.get("countryCode")),
    )


def _manager(value: Any) -> Manager | None:
    """Return the manager as the attribute names it: a text, or an object that carries an id, value or username."""
    if isinstance(value, str) and value:
        return Manager(reference=value)
    if isinstance(value, dict):
        named = next((v for key in ("id", "value", "username", "email") if isinstance(v := value.get(key), str)), None)
        return Manager(reference=named or json.dumps(value, ensure_ascii=False))
    return None
