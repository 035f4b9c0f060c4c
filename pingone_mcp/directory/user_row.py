"""One user as a row of flat values, and back: what a sync reads, compares and keeps.

The values are those of the unified `User`: times as RFC 3339 in UTC with milliseconds and Z, lists joined, objects as
JSON. Names of environments and populations are not in it (they have rows of their own, and a renamed population does
not change its users), nor are groups and roles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import cast

import msgspec

from pingone_mcp.directory.models import (
    Address,
    Email,
    JsonObject,
    Manager,
    Named,
    Phone,
    StatusReason,
    StatusSource,
    User,
)
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.user_columns import UserRow

NO_ATTRIBUTES = "{}"
_MOST_QUERIED = 32_000  # bytes
_HALF_A_PAIR = "\\ud"  # of an escape; whole pairs are no escapes in our JSON
_encode = msgspec.json.Encoder(order="sorted").encode


def row_of(user: User, environment: str, *, remote_data: bool = False) -> UserRow:
    """Return a user of an environment as a row, with the provider's own object where that is wanted."""
    source, address = user.status_source, user.address or Address()
    attributes, whole = attributes_as_text(user.custom_attributes)
    phone = next((phone.number for phone in user.phones if phone.type != "mobile"), None)
    mobile = next((phone.number for phone in user.phones if phone.type == "mobile"), None)
    return UserRow(
        id=user.id,
        environment_id=environment,
        population_id=user.workspaces[0].id if user.workspaces else None,
        username=user.username,
        external_id=user.external_id,
        name=user.name,
        first_name=user.first_name,
        last_name=user.last_name,
        email=user.email,
        phone=phone,
        mobile_phone=mobile,
        title=user.title,
        department=user.department,
        manager=user.manager.reference if user.manager is not None else None,
        type=user.type,
        status=user.status,
        status_reasons=",".join(user.status_reasons),
        enabled=source.enabled,
        account_status=source.account_status,
        lifecycle_status=source.lifecycle_status,
        is_email_verified=user.is_email_verified,
        is_2fa_enabled=user.is_2fa_enabled,
        locale=user.locale,
        timezone=user.timezone,
        preferred_language=user.preferred_language,
        street=address.street,
        city=address.city,
        region=address.region,
        postal_code=address.postal_code,
        country=address.country,
        avatar_url=user.avatar_url,
        last_login_at=_as_text(user.last_login_at),
        locked_at=_as_text(user.locked_at),
        created_at=_as_text(user.created_at),
        updated_at=_as_text(user.updated_at),
        unreadable=",".join(user.unreadable) or None,
        custom_attributes=attributes,
        more=_more(user, environment, phone, mobile),
        all_attributes=whole,
        remote_data=as_json_text(user.remote_data) if remote_data and user.remote_data is not None else None,
    )


def as_unicode(row: UserRow) -> UserRow:
    """Return a row whose texts are Unicode: what is none (a lone surrogate) is replaced, and kept in `more`."""
    exact = {
        name: value
        for name, value in zip(UserRow._fields, row, strict=True)
        if isinstance(value, str) and not value.isascii() and _unicode(value) != value
    }
    if not exact:
        return row
    more: JsonObject = json.loads(row.more) if row.more else {}
    replaced = {name: _unicode(value) for name, value in exact.items()}
    return UserRow(**(row._asdict() | replaced | {"more": as_json_text({**more, "exact": exact})}))


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _more(user: User, environment: str, phone: str | None, mobile: str | None) -> str | None:
    """Return what the values of the row do not say of a user."""
    more: JsonObject = {}
    if user.identifiers:
        more["identifiers"] = user.identifiers
    if user.emails != _emails(user.email):
        more["emails"] = [_members(email, "email", "type", "is_primary") for email in user.emails]
    if user.phones != _phones(phone, mobile):
        more["phones"] = [_members(phone, "number", "type") for phone in user.phones]
    for name, places, usual in (
        ("organizations", user.organizations, [environment]),
        ("workspaces", user.workspaces, [place.id for place in user.workspaces[:1]]),
    ):
        if (ids := [place.id for place in places]) != usual:
            more[name] = ids
    return as_json_text(more) if more else None


def _members(value: object, *names: str) -> JsonObject:
    return {name: member for name in names if (member := getattr(value, name)) is not None}


def attributes_as_text(attributes: JsonObject) -> tuple[str, str | None]:
    """Return custom attributes as the JSON that queries read, and all of them where those are not.

    A query fails as a whole for one value that is longer than it may be (`replica.queries.query`): where they are
    longer together, the largest ones give way to their size, and names that are too long themselves go.
    """
    if not attributes:
        return NO_ATTRIBUTES, None
    whole = as_json_text(attributes)
    text = whole
    if _HALF_A_PAIR in whole:  # a query would fail for what is no Unicode
        attributes = json.loads(_unicode(json.dumps(attributes, ensure_ascii=False)))
        text = as_json_text(attributes)
    if len(text) > _MOST_QUERIED // 4:  # of UTF-8 no character takes more than 4 bytes
        text = _cut(attributes, _bytes(text))
    return text, None if text == whole else whole


def _cut(attributes: JsonObject, size: int) -> str:
    """Return attributes that take `size` bytes together as they are queried."""
    sizes = {name: _bytes(as_json_text(value)) for name, value in attributes.items()}
    kept = dict(attributes)
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if size <= _MOST_QUERIED:
            break
        kept[name] = f"[{sizes[name]:,} bytes]"
        size -= sizes[name] - _bytes(kept[name]) - 2
    return as_json_text(kept) if size <= _MOST_QUERIED else NO_ATTRIBUTES


def as_json_text(value: object) -> str:
    """Return JSON (RFC 8259), compact and with its keys in order, so that the same data is the same text."""
    try:
        return _encode(value).decode()
    except (UnicodeEncodeError, OverflowError, RecursionError):  # a lone surrogate, for one: it stays an escape
        return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def user_of(
    row: UserRow,
    *,
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
    manager: Manager | None = None,
    removed: bool = False,
) -> User:
    """Return the user of a row; `environments` and `populations` give names by id.

    Of a `removed` one the status is deleted, whatever it was before. Raises ValueError (or one of KeyError, TypeError
    and AttributeError) for values that `row_of` does not make.
    """
    more: JsonObject = json.loads(row.more) if row.more else {}
    if "exact" in more:
        row = row._replace(**more["exact"])
    organizations: list[str] = more.get("organizations", [row.environment_id])
    workspaces: list[str] = more.get("workspaces", [row.population_id] if row.population_id is not None else [])
    address = Address(
        street=row.street, city=row.city, region=row.region, postal_code=row.postal_code, country=row.country
    )
    attributes = row.all_attributes or row.custom_attributes
    return User(
        id=row.id,
        username=row.username,
        external_id=row.external_id,
        identifiers=more.get("identifiers"),
        name=row.name,
        first_name=row.first_name,
        last_name=row.last_name,
        emails=tuple(Email(**email) for email in more["emails"]) if "emails" in more else _emails(row.email),
        phones=tuple(Phone(**phone) for phone in more["phones"])
        if "phones" in more
        else _phones(row.phone, row.mobile_phone),
        title=row.title,
        department=row.department,
        manager=manager or (Manager(reference=row.manager) if row.manager is not None else None),
        type=row.type,
        status="deleted" if removed else row.status,
        status_reasons=("removed",) if removed else as_reasons(row.status_reasons),
        status_source=StatusSource(
            enabled=_flag(row.enabled), account_status=row.account_status, lifecycle_status=row.lifecycle_status
        ),
        is_email_verified=_flag(row.is_email_verified),
        is_2fa_enabled=_flag(row.is_2fa_enabled),
        organizations=_places(organizations, environments),
        workspaces=_places(workspaces, populations),
        locale=row.locale,
        timezone=row.timezone,
        preferred_language=row.preferred_language,
        address=address if address != _NO_ADDRESS else None,
        avatar_url=row.avatar_url,
        last_login_at=_as_time(row.last_login_at),
        locked_at=_as_time(row.locked_at),
        created_at=_as_time(row.created_at),
        updated_at=_as_time(row.updated_at),
        custom_attributes=as_object(attributes) if attributes != NO_ATTRIBUTES else {},
        unreadable=tuple(row.unreadable.split(",")) if row.unreadable else (),
        remote_data=as_object(row.remote_data) if row.remote_data is not None else None,
    )


_NO_ADDRESS = Address()


def _emails(email: str | None) -> tuple[Email, ...]:
    return () if email is None else (Email(email=email, type="work", is_primary=True),)


def _phones(phone: str | None, mobile: str | None) -> tuple[Phone, ...]:
    numbers = ((phone, "primary"), (mobile, "mobile"))
    return tuple(Phone(number=number, type=kind) for number, kind in numbers if number is not None)


def as_reasons(joined: str) -> tuple[StatusReason, ...]:
    """Return the reasons for a status as a row has them."""
    return cast("tuple[StatusReason, ...]", tuple(joined.split(","))) if joined else ()


def _places(ids: list[str], names: Mapping[str, str | None] | None) -> tuple[Named, ...]:
    return tuple(_named(identity, names.get(identity) if names else None) for identity in ids)


@lru_cache(maxsize=1_024)  # many users are in few places
def _named(identity: str, name: str | None) -> Named:
    return Named(id=identity, name=name)


def as_object(text: str) -> JsonObject:
    """Return an object as a row has it. Raises ValueError and TypeError for what is none."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError("what should be a JSON object is none")
    return value


def _flag(value: object) -> bool | None:
    """Return what SQLite keeps as 0 or 1."""
    return None if value is None else bool(value)


def _as_text(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def _as_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
