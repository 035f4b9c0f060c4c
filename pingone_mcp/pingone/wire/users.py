"""Users of PingOne as unified users."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

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
from pingone_mcp.directory.text.json_text import shallow
from pingone_mcp.pingone.wire.lenient import as_time
from pingone_mcp.pingone.wire.structs import (
    AccountState,
    LifecycleState,
    PersonName,
    PostalAddress,
    ReadUser,
    Reference,
)
from pingone_mcp.pingone.wire.user_objects import read_object

# What a user without these says; instances are never changed.
NO_ACCOUNT, NO_LIFECYCLE, NO_NAME, NO_ADDRESS = AccountState(), LifecycleState(), PersonName(), PostalAddress()


def user(
    raw: JsonObject,
    *,
    attributes: Mapping[str, str],
    environments: Mapping[str, str | None] | None = None,
    populations: Mapping[str, str | None] | None = None,
    remote_data: bool = False,
) -> User:
    """Return the unified user of a JSON object. `attributes` says which ones hold `department` and `manager`.

    `environments` and `populations` give names by id. What is not of its documented type is left out, and named in
    `unreadable`. Raises UnexpectedAnswer for an object without an id.
    """
    read = read_object(raw, attributes)
    return unified(read, environments or {}, populations or {}, remote_data=shallow(raw) if remote_data else None)


def unified(
    read: ReadUser,
    environments: Mapping[str, str | None],
    populations: Mapping[str, str | None],
    *,
    remote_data: JsonObject | None = None,
) -> User:
    """Return the unified user. Raises ValueError or OverflowError where a time is none."""
    known = read.known
    account, name = known.account or NO_ACCOUNT, known.name or NO_NAME
    source, status, reasons = stated(known.enabled, account.status, (known.lifecycle or NO_LIFECYCLE).status)
    signed_on = known.last_sign_on
    return User(
        id=known.id,
        username=known.username,
        external_id=known.external_id,
        identifiers={"account_id": known.account_id} if known.account_id is not None else None,
        name=full_name(name),
        first_name=name.given,
        last_name=name.family,
        emails=() if known.email is None else (Email(email=known.email, type="work", is_primary=True),),
        phones=_phones(known.primary_phone, known.mobile_phone),
        title=known.title,
        department=read.department,
        manager=Manager(reference=read.manager) if read.manager is not None else None,
        type=known.type,
        status=status,
        status_reasons=reasons,
        status_source=source,
        is_email_verified=known.email_verified,
        is_2fa_enabled=known.mfa_enabled,
        organizations=_named(known.environment, environments),
        workspaces=_named(known.population, populations),
        locale=known.locale,
        timezone=known.timezone,
        preferred_language=known.preferred_language,
        address=_address(known.address),
        avatar_url=known.photo.href if known.photo is not None else None,
        last_login_at=as_time(signed_on.at) if signed_on is not None and signed_on.at is not None else None,
        locked_at=as_time(account.locked_at) if account.locked_at is not None else None,
        created_at=as_time(known.created_at) if known.created_at is not None else None,
        updated_at=as_time(known.updated_at) if known.updated_at is not None else None,
        custom_attributes=read.custom,
        unreadable=read.unreadable,
        remote_data=remote_data,
    )


def full_name(name: PersonName) -> str | None:
    """Return the formatted name, or else what there is of given and family name."""
    if name.formatted:
        return name.formatted
    given, family = name.given, name.family
    return f"{given} {family}" if given and family else given or family or None


@lru_cache(maxsize=1024)
def stated(
    enabled: bool | None,  # noqa: FBT001 - a cache takes arguments in their order
    account: str | None,
    lifecycle: str | None,
) -> tuple[StatusSource, str, tuple[StatusReason, ...]]:
    """Return the status in PingOne's words, the unified one, and its reasons; many users share them."""
    source = StatusSource(enabled=enabled, account_status=account, lifecycle_status=lifecycle)
    return source, *status_of(source)


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


def _phones(primary: str | None, mobile: str | None) -> tuple[Phone, ...]:
    found = () if primary is None else (Phone(number=primary, type="primary"),)
    return found if mobile is None else (*found, Phone(number=mobile, type="mobile"))


def _named(place: Reference | None, names: Mapping[str, str | None]) -> tuple[Named, ...]:
    return () if place is None or place.id is None else _place(place.id, names.get(place.id))


@lru_cache(maxsize=1024)
def _place(identity: str, name: str | None) -> tuple[Named]:
    return (Named(id=identity, name=name),)


def _address(address: PostalAddress | None) -> Address | None:
    """Return an address; None for one of which nothing is known."""
    if address is None or address == NO_ADDRESS:
        return None
    return Address(
        street=address.street_address,
        city=address.locality,
        region=address.region,
        postal_code=address.postal_code,
        country=address.country_code,
    )
