"""Users and groups as rows of the local copy, and back.

The record of a user is what `directory.rows.plain` makes of it, without the names of environments and populations (they
have tables of their own: a renamed population does not change its users) and without groups and roles.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any

from pingone_mcp.directory.models import (
    Address,
    Email,
    Group,
    JsonObject,
    Manager,
    Named,
    Phone,
    StatusSource,
    User,
)
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.store.schema import GroupRow
from pingone_mcp.replica.store.store import Damaged

Row = tuple[Any, ...]

_TEXTS = (
    "id username external_id name first_name last_name title department type status locale timezone preferred_language "
    "avatar_url"
).split()
_TEXTS_AND_FLAGS = (*_TEXTS, "is_email_verified", "is_2fa_enabled")
_TIMES = ("last_login_at", "locked_at", "created_at", "updated_at")
_ADDRESS = ("street", "city", "region", "postal_code", "country")
_SOURCE = ("enabled", "account_status", "lifecycle_status")
_DIGEST_BYTES = 16
_NOTHING = "{}"
_MOST_QUERIED = 32_000  # bytes
# An encoder is made once: `json.dumps` makes one per call. Keys are sorted, whatever order an answer had.
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_encode_shown = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def record_of(user: User, *, remote_data: bool = False) -> JsonObject:
    """Return the plain record of a user: `plain(user)` without names of places, groups and roles."""
    source = user.status_source
    record: JsonObject = {name: value for name in _TEXTS_AND_FLAGS if (value := getattr(user, name)) is not None}
    record |= {name: timestamp(at) for name in _TIMES if (at := getattr(user, name)) is not None}
    record["status_source"] = {name: value for name in _SOURCE if (value := getattr(source, name)) is not None}
    parts: JsonObject = {
        "status_reasons": list(user.status_reasons),
        "identifiers": user.identifiers,
        "emails": [_email(email) for email in user.emails],
        "phones": [_phone(phone) for phone in user.phones],
        "manager": {"reference": user.manager.reference} if user.manager is not None else None,
        "organizations": [{"id": place.id} for place in user.organizations],
        "workspaces": [{"id": place.id} for place in user.workspaces],
        "custom_attributes": user.custom_attributes,
        "unreadable": list(user.unreadable),
        "remote_data": user.remote_data if remote_data else None,
    }
    record |= {name: part for name, part in parts.items() if part}
    if user.address is not None:
        address = user.address
        record["address"] = {name: part for name in _ADDRESS if (part := getattr(address, name)) is not None}
    return record


def _email(email: Email) -> JsonObject:
    written: JsonObject = {"email": email.email, "is_primary": email.is_primary}
    return written if email.type is None else written | {"type": email.type}


def _phone(phone: Phone) -> JsonObject:
    written: JsonObject = {"number": phone.number}
    return written if phone.type is None else written | {"type": phone.type}


def user_row(user: User, environment: str, *, remote_data: bool = False) -> Row:
    """Return the values of `schema.USER_COLUMNS`. The digest leaves out `last_login_at` and what PingOne sent."""
    record = record_of(user, remote_data=remote_data)
    last_login = record.pop("last_login_at", None)
    remote = record.pop("remote_data", None)
    text = _encode(record)
    digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
    # Written once: what does not count for the digest is put in at the end.
    if last_login is not None:
        text = f'{text[:-1]},"last_login_at":"{last_login}"}}'
    if remote is not None:
        text = f'{text[:-1]},"remote_data":{_encode(remote)}}}'
    source, address = user.status_source, user.address
    return (
        user.id,
        environment,
        user.workspaces[0].id if user.workspaces else None,
        user.username,
        user.external_id,
        user.name,
        user.first_name,
        user.last_name,
        user.email,
        next((phone.number for phone in user.phones if phone.type != "mobile"), None),
        next((phone.number for phone in user.phones if phone.type == "mobile"), None),
        user.title,
        user.department,
        user.manager.reference if user.manager is not None else None,
        user.type,
        user.status,
        ",".join(user.status_reasons),
        source.enabled,
        source.account_status,
        source.lifecycle_status,
        user.is_email_verified,
        user.is_2fa_enabled,
        user.locale,
        user.timezone,
        user.preferred_language,
        address.city if address is not None else None,
        address.country if address is not None else None,
        last_login,
        record.get("locked_at"),
        record.get("created_at"),
        record.get("updated_at"),
        _queried(user.custom_attributes) if user.custom_attributes else _NOTHING,
        text,
        digest,
    )


def _queried(attributes: JsonObject) -> str:
    """Return custom attributes as the JSON that queries read; the record has them whole.

    A query fails as a whole for one value that is longer than it may be (`query.py`): where they are longer together,
    the largest ones give way to their size, and names that are too long themselves go.
    """
    text = _encode_shown(attributes)
    if len(text) <= _MOST_QUERIED // 4:  # of UTF-8 no character takes more than 4 bytes
        return text
    sizes = {name: _bytes(_encode_shown(value)) for name, value in attributes.items()}
    kept, left = dict(attributes), _bytes(text)
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        if left <= _MOST_QUERIED:
            return _encode_shown(kept)
        kept[name] = f"[{sizes[name]:,} bytes]"
        left -= sizes[name] - _bytes(kept[name]) - 2
    return _encode_shown(kept) if left <= _MOST_QUERIED else _NOTHING


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def storable(row: Row) -> Row:
    """Return a row whose texts SQLite takes: what is no Unicode (a lone surrogate) is replaced."""
    return tuple(
        value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in row
    )


@contextmanager
def as_written() -> Iterator[None]:
    """Raise Damaged where the record of a user is not of the shape in which a sync writes it."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Damaged("what is kept of a user cannot be read") from error


@as_written()
def user_of(
    record: str | JsonObject,
    *,
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
    manager: Manager | None = None,
    removed: bool = False,
) -> User:
    """Return the user of a record; `environments` and `populations` give names by id.

    Of a `removed` one the status is deleted, whatever it was before. Raises Damaged for what no sync has written.
    """
    kept: JsonObject = json.loads(record) if isinstance(record, str) else record
    get = kept.get
    reference, address = get("manager"), get("address")
    return User(
        **{name: kept[name] for name in _TEXTS_AND_FLAGS if name in kept and name != "status"},
        status="deleted" if removed else kept["status"],
        status_reasons=("removed",) if removed else tuple(get("status_reasons", ())),
        status_source=StatusSource(**get("status_source", {})),
        identifiers=get("identifiers"),
        emails=tuple(Email(**email) for email in get("emails", ())),
        phones=tuple(Phone(**phone) for phone in get("phones", ())),
        manager=manager or (Manager(**reference) if reference else None),
        organizations=_places(get("organizations", ()), environments),
        workspaces=_places(get("workspaces", ()), populations),
        address=Address(**address) if address is not None else None,
        last_login_at=_time(get("last_login_at")),
        locked_at=_time(get("locked_at")),
        created_at=_time(get("created_at")),
        updated_at=_time(get("updated_at")),
        custom_attributes=get("custom_attributes", {}),
        unreadable=tuple(get("unreadable", ())),
        remote_data=get("remote_data"),
    )


def group_row(group: Group, environment: str) -> GroupRow:
    """Return a group as a row."""
    return GroupRow(
        id=group.id,
        environment_id=environment,
        name=group.name,
        description=group.description,
        external_id=group.external_id,
        group_type=group.group_type,
        population_id=group.workspace.id if group.workspace is not None else None,
        user_filter=group.user_filter,
        member_count=group.member_count,
        total_member_count=group.total_member_count,
        created_at=timestamp(group.created_at) if group.created_at is not None else None,
        updated_at=timestamp(group.updated_at) if group.updated_at is not None else None,
    )


def group_of(
    row: Row,
    *,
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
) -> Group:
    """Return the group of a row, in the order of `schema.GROUP_COLUMNS`."""
    known = GroupRow(*row)
    place, population = known.environment_id, known.population_id
    return Group(
        id=known.id,
        name=known.name,
        description=known.description,
        external_id=known.external_id,
        group_type=known.group_type,
        organization=Named(id=place, name=(environments or {}).get(place)),
        workspace=Named(id=population, name=(populations or {}).get(population)) if population is not None else None,
        user_filter=known.user_filter,
        member_count=known.member_count,
        total_member_count=known.total_member_count,
        created_at=_time(known.created_at),
        updated_at=_time(known.updated_at),
    )


def _places(kept: list[JsonObject] | tuple[()], names: Mapping[str, str | None] | None) -> tuple[Named, ...]:
    return tuple(Named(id=place["id"], name=(names or {}).get(place["id"])) for place in kept)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
