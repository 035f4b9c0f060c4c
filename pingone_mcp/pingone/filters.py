"""What PingOne's filters take: its documented attributes and operators, and a search written with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from urllib.parse import quote

from pingone_mcp.directory.matching import search
from pingone_mcp.directory.matching.filterable import Filterable, FilterAttribute
from pingone_mcp.directory.matching.filters import Filter, any_of, eq, grouped, renamed
from pingone_mcp.directory.scope import Scope
from pingone_mcp.pingone.wire import CORE_ATTRIBUTES

# With a token and what else is asked for, filters stay below the 6 KB that PingOne allows for request headers.
_POPULATIONS_PER_FILTER = 35
PEOPLE_CHARACTERS = 1_500
_SEARCHED = {"first_name": "name.given", "last_name": "name.family", "name": "name.formatted"}


def people(text: str, *, longest: int | None = None) -> Filter:
    """Return the filter for what a person types to find people (`search.readings`).

    With `longest`, the likeliest of its readings that take no more characters of a URL (see `people_are_cut`). Raises
    Refused where nothing is typed.
    """
    parts = _people(text)
    return any_of(parts if longest is None else parts[: _within(parts, longest)])


def people_are_cut(text: str, longest: int) -> bool:
    """Say whether not all ways to read what a person types fit into so many characters of a URL."""
    parts = _people(text)
    return _within(parts, longest) < len(parts)


def _within(parts: Sequence[Filter], longest: int) -> int:
    """Return how many of the parts fit, at least one."""
    sizes = accumulate(len(quote(f"{grouped(part)} or ", safe="")) for part in parts)
    return max(1, sum(size <= longest for size in sizes))


def _people(text: str) -> list[Filter]:
    return [renamed(part, _SEARCHED) for part in search.readings(text)]


_TEXT = ("eq", "sw")


def _texts(fields: Mapping[str, str], operators: tuple[str, ...] = _TEXT) -> dict[str, FilterAttribute]:
    return {name: FilterAttribute(operators, held_in) for name, held_in in fields.items()}


# PingOne, "Read All Users" and "SCIM operators". Custom attributes of type STRING work too; they are not listed. Of a
# whole name the unified user does not say whether it is PingOne's own or was put together from its parts.
_DOCUMENTED: dict[str, FilterAttribute] = {
    **_texts(
        {
            "accountId": "identifiers.account_id",
            "address.streetAddress": "address.street",
            "address.locality": "city",
            "address.region": "address.region",
            "address.postalCode": "address.postal_code",
            "address.countryCode": "country",
            "externalId": "external_id",
            "locale": "locale",
            "mobilePhone": "mobile_phone",
            "name.formatted": "remote_data.name.formatted",
            "name.middle": "remote_data.name.middle",
            "name.honorificPrefix": "remote_data.name.honorificPrefix",
            "name.honorificSuffix": "remote_data.name.honorificSuffix",
            "nickname": "remote_data.nickname",
            "photo.href": "avatar_url",
            "preferredLanguage": "preferred_language",
            "primaryPhone": "phone",
            "timezone": "timezone",
            "title": "title",
            "type": "type",
            "username": "username",
        }
    ),
    **_texts({"email": "email", "name.given": "first_name", "name.family": "last_name"}, (*_TEXT, "ew")),
    "id": FilterAttribute(("eq",), "id", "id"),
    "enabled": FilterAttribute(("eq",), "enabled", "flag"),
    **_texts({"startDate": "custom_attributes.startDate", "endDate": "custom_attributes.endDate"}, ("eq",)),
    "population.id": FilterAttribute(("eq",), "population_id", "id"),
    "updatedAt": FilterAttribute(("ge", "le"), "updated_at", "time"),
    "memberOfGroups": FilterAttribute(("[id eq]", '[id eq and type eq "DIRECT"]'), "groups", "groups"),
}
# What other directories and the unified user call an attribute.
_MEANT: dict[str, str] = {
    **dict.fromkeys(("emails", "emails.value", "mail"), "email"),
    **dict.fromkeys(("name.givenname", "givenname", "given_name", "firstname", "first_name"), "name.given"),
    **dict.fromkeys(("name.familyname", "familyname", "family_name", "lastname", "last_name", "sn"), "name.family"),
    **dict.fromkeys(("name", "displayname", "display_name"), "name.formatted"),
    **dict.fromkeys(("active", "isenabled"), "enabled"),
    **dict.fromkeys(("population", "population_id", "workspace"), "population.id"),
    **dict.fromkeys(("meta.lastmodified", "lastmodified", "updated_at"), "updatedAt"),
    **dict.fromkeys(("meta.created", "created", "created_at"), "createdAt"),
    **dict.fromkeys(("lastsignon", "lastlogin", "last_login", "last_login_at"), "lastSignOn.at"),
    **dict.fromkeys(("account", "account_status", "locked"), "account.status"),
    **dict.fromkeys(("lifecycle", "lifecycle_status"), "lifecycle.status"),
    **dict.fromkeys(("is_2fa_enabled", "mfa"), "mfaEnabled"),
    **dict.fromkeys(("phone", "phonenumbers", "phonenumbers.value"), "primaryPhone"),
    **dict.fromkeys(("external_id",), "externalId"),
}
_ARGUMENTS = {
    "status": "status",
    **dict.fromkeys(
        ("group", "groups", "groups.value", "groups.display", "memberofgroups.name", "group.name"), "group"
    ),
    "population.name": "population",
    **dict.fromkeys(("environment", "environment.id", "environment.name"), "environment"),
}
USERS = Filterable(
    provider="PingOne",
    attributes=_DOCUMENTED,
    custom_operators=_TEXT,
    of_core=CORE_ATTRIBUTES,
    # Attributes of a user that PingOne's documentation of filters leaves out.
    not_filterable={
        "createdAt": "created_at",
        "lastSignOn.at": "last_login_at",
        "account.status": "account_status",
        "account.lockedAt": "locked_at",
        "lifecycle.status": "lifecycle_status",
        "emailVerified": "is_email_verified",
        "mfaEnabled": "is_2fa_enabled",
        "verifyStatus": None,
        "identityProvider.type": None,
    },
    usual_operators=(*_TEXT, "and", "or"),
    beyond='For users also `ew` on email and name, `ge`/`le` on updatedAt, and memberOfGroups[id eq "…"]. '
    "For anything else (createdAt, lastSignOn, account.status, mfaEnabled; parts of words; not) ask query_directory.",
    meant=_MEANT,
    arguments=_ARGUMENTS,
    examples=(
        'name.family sw "Li" and enabled eq true',
        'email ew "@example.com" and (title eq "Nurse" or type eq "contractor")',
        'updatedAt ge "2026-01-01T00:00:00Z"',
    ),
)
# What is documented for filters of other lists (PingOne, "Query parameter quick reference").
OTHER_LISTS: dict[str, str] = {
    "groups": 'id, name, externalId and population.id with eq, externalId with sw, memberOfGroups[id eq "…"]',
    "populations": "id with eq, name with eq and sw",
    "environments": "name with sw; id, organization.id, license.id and status with eq",
    "activities": 'a range of the last 14 days (recordedAt ge "…" and recordedAt le "…"), and with it at most one of '
    "action.type, actors.user.id, actors.user.name, actors.client.id, resources.id, resources.type, correlationid and tags "
    "with eq, and resources.population.id",
}


def population_filters(scope: Scope, population: str | None) -> list[Filter | None]:
    """Return filters that hold for the users of a population, or of those served (None), each user in one."""
    return [eq("population.id", population)] if population is not None else bounds(scope)


def bounds(scope: Scope) -> list[Filter | None]:
    """Return the filters that bound users to the populations served, as many in each as fit into a request.

    None where all of them are served.
    """
    allowed = sorted(scope.populations)
    batches = [allowed[i : i + _POPULATIONS_PER_FILTER] for i in range(0, len(allowed), _POPULATIONS_PER_FILTER)]
    return [any_of(eq("population.id", identity) for identity in batch) for batch in batches] or [None]
