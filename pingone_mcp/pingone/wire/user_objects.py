"""A PingOne user read from a JSON object, whatever the types of its members are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.text.json_text import shallow
from pingone_mcp.pingone.wire.lenient import (
    OtherType,
    flag,
    identity,
    inner,
    leniently,
    text,
    time,
    unified_names,
)
from pingone_mcp.pingone.wire.structs import (
    CORE_ATTRIBUTES,
    AccountState,
    LifecycleState,
    PersonName,
    Picture,
    PingOneUser,
    PostalAddress,
    ReadUser,
    Reference,
    SignOn,
)

# Where PingOne's values go, for those that could not be read.
_UNIFIED: Mapping[str, tuple[str, ...]] = {
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
    "address.streetAddress": ("address",),
    "address.locality": ("address",),
    "address.region": ("address",),
    "address.postalCode": ("address",),
    "address.countryCode": ("address",),
    "photo": ("avatar_url",),
    "photo.href": ("avatar_url",),
    "lastSignOn": ("last_login_at",),
    "lastSignOn.at": ("last_login_at",),
    "createdAt": ("created_at",),
    "updatedAt": ("updated_at",),
}


def read_object(raw: JsonObject, attributes: Mapping[str, str]) -> ReadUser:
    """Return the user that an object shows. What is not of its documented type is left out, and named.

    Custom attributes are in the order of their names, as in a row: structs do not know in which order they came.
    `attributes` says which attributes hold `department` and `manager`. Raises UnexpectedAnswer for an object without
    an id.
    """
    (known, department, manager), unread = leniently(raw, lambda left: _read(left, attributes))
    mapped = {attribute: (name,) for name, attribute in attributes.items()}
    return ReadUser(
        known=known,
        custom={key: shallow(raw[key]) for key in sorted(raw.keys() - CORE_ATTRIBUTES)},
        department=department,
        manager=manager,
        unreadable=unified_names(unread, {**_UNIFIED, **mapped}) if unread else (),
    )


def _read(raw: JsonObject, attributes: Mapping[str, str]) -> tuple[PingOneUser, str | None, str | None]:
    """Return the core attributes, the department and the manager; in this order unreadable ones are named."""
    account, name = inner(raw, "account"), inner(raw, "name")
    enabled, status = flag(raw, "enabled"), text(account, "status")
    lifecycle = text(inner(raw, "lifecycle"), "status")
    given, family = text(name, "given"), text(name, "family")
    email, account_id = text(raw, "email"), text(raw, "accountId")
    address = inner(raw, "address")
    known = PingOneUser(
        id=identity(raw, "user"),
        enabled=enabled,
        lifecycle=LifecycleState(status=lifecycle),
        email=email,
        account_id=account_id,
        username=text(raw, "username"),
        external_id=text(raw, "externalId"),
        name=PersonName(formatted=text(name, "formatted"), given=given, family=family),
        primary_phone=text(raw, "primaryPhone"),
        mobile_phone=text(raw, "mobilePhone"),
        title=text(raw, "title"),
    )
    department = text(raw, key) if (key := attributes.get("department")) is not None else None
    manager = _manager(raw, key) if (key := attributes.get("manager")) is not None else None
    known.type = text(raw, "type")
    known.email_verified, known.mfa_enabled = flag(raw, "emailVerified"), flag(raw, "mfaEnabled")
    known.environment = Reference(id=text(inner(raw, "environment"), "id"))
    known.population = Reference(id=text(inner(raw, "population"), "id"))
    known.locale, known.timezone = text(raw, "locale"), text(raw, "timezone")
    known.preferred_language = text(raw, "preferredLanguage")
    known.address = PostalAddress(
        street_address=text(address, "streetAddress"),
        locality=text(address, "locality"),
        region=text(address, "region"),
        postal_code=text(address, "postalCode"),
        country_code=text(address, "countryCode"),
    )
    known.photo = Picture(href=text(inner(raw, "photo"), "href"))
    known.last_sign_on = SignOn(at=_time(inner(raw, "lastSignOn"), "at"))
    known.account = AccountState(status=status, locked_at=_time(account, "lockedAt"))
    known.created_at, known.updated_at = _time(raw, "createdAt"), _time(raw, "updatedAt")
    return known, department, manager


def _time(raw: JsonObject, key: str) -> str | None:
    """Return a text that is a time."""
    return raw[key] if time(raw, key) is not None else None


def _manager(raw: JsonObject, key: str) -> str | None:
    try:
        return manager_reference(raw.get(key))
    except TypeError:
        raise OtherType(raw, key) from None


def manager_reference(value: Any) -> str | None:
    """Return whom an attribute names: a text, or an object that carries an id, value or username.

    Raises TypeError for a value of another type.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        named = next((v for key in ("id", "value", "username", "email") if isinstance(v := value.get(key), str)), None)
        return named or json.dumps(shallow(value), ensure_ascii=False)
    raise TypeError
