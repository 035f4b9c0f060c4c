"""A PingOne user as typed structs: what is read of one, under PingOne's names."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from msgspec import Raw, Struct

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.pingone.wire.lenient import as_time

# Attributes of PingOne's core user schema; every other one at the top level is custom.
CORE_ATTRIBUTES = frozenset(
    "id environment createdAt updatedAt username email emailVerified enabled account lifecycle verifyStatus "
    "mfaEnabled identityProvider lastSignOn name address primaryPhone mobilePhone nickname title type locale "
    "preferredLanguage timezone externalId accountId photo population password memberOfGroupIDs "
    "memberOfGroupNames _links _embedded".split()
)


class Reference(Struct, gc=False):
    id: str | None = None


class AccountState(Struct, gc=False, rename="camel"):
    status: str | None = None
    locked_at: str | None = None


class LifecycleState(Struct, gc=False):
    status: str | None = None


class PersonName(Struct, gc=False):
    formatted: str | None = None
    given: str | None = None
    family: str | None = None


class PostalAddress(Struct, gc=False, rename="camel"):
    street_address: str | None = None
    locality: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country_code: str | None = None


class Picture(Struct, gc=False):
    href: str | None = None


class SignOn(Struct, gc=False):
    at: str | None = None


class PingOneUser(Struct, rename="camel", kw_only=True):
    """The core attributes of a user that are read; times are as PingOne writes them."""

    id: str
    environment: Reference | None = None
    population: Reference | None = None
    created_at: str | None = None
    updated_at: str | None = None
    username: str | None = None
    email: str | None = None
    email_verified: bool | None = None
    enabled: bool | None = None
    account: AccountState | None = None
    lifecycle: LifecycleState | None = None
    mfa_enabled: bool | None = None
    last_sign_on: SignOn | None = None
    name: PersonName | None = None
    address: PostalAddress | None = None
    primary_phone: str | None = None
    mobile_phone: str | None = None
    title: str | None = None
    type: str | None = None
    locale: str | None = None
    preferred_language: str | None = None
    timezone: str | None = None
    external_id: str | None = None
    account_id: str | None = None
    photo: Picture | None = None


class ReadUser(NamedTuple):
    """One user as it was read: `custom` attributes, and what mapped ones say of department and manager.

    `unreadable` are the unified fields of what was left out. `raw` is what it was read from, where that was bytes.
    """

    known: PingOneUser
    custom: JsonObject
    department: str | None = None
    manager: str | None = None
    unreadable: tuple[str, ...] = ()
    raw: Raw | None = None

    @property
    def created_at(self) -> datetime | None:
        """When the user was made; None where that is not known, or no time."""
        return _time(self.known.created_at)

    @property
    def updated_at(self) -> datetime | None:
        """When the user was changed last; None where that is not known, or no time."""
        return _time(self.known.updated_at)

    @property
    def population(self) -> str | None:
        """The id of the population."""
        place = self.known.population
        return place.id if place is not None else None


def _time(text: str | None) -> datetime | None:
    try:
        return as_time(text) if text is not None else None
    except (ValueError, OverflowError):
        return None
