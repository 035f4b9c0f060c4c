"""What PingOne's filters take: its documented attributes and operators, and what to say of any others."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from urllib.parse import quote

from pingone_mcp.directory.filters import All, Filter, any_of, conditions, grouped, negates, parse, sw
from pingone_mcp.errors import FilterRefused, Refused

_NAMES = ("name.given", "name.family", "name.formatted")
_SHOWN = 64


def people(text: str, *, longest: int | None = None) -> Filter:
    """Return the filter for what a person types to find people.

    An address: start of username or email. A single word: start of username, email, given, family or whole name.
    Several words: all of them as family, given or whole name, and every division of them into a given and a family
    name, in either order; the words between the first and the last may be missing, as middle names are. `Family, Given`
    is understood too. With `longest`, the likeliest of these that take no more characters of a URL (see
    `people_are_cut`).
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
    """Return the ways to read what a person types, the likeliest first. Raises Refused where nothing is typed."""
    whole, words = " ".join(text.split()), _words(text)
    if len(words) == 1:
        attributes = ("username", "email") if "@" in words[0] else ("username", "email", *_NAMES)
        return [sw(attribute, words[0]) for attribute in attributes]
    turned = " ".join(words)
    parts: list[Filter] = [_called(words[0], words[-1]), _called(words[-1], words[0])]
    parts += [sw(attribute, turned) for attribute in ("name.family", "name.given", "name.formatted")]
    parts += [sw("name.formatted", whole), sw("username", whole)]
    divisions = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words) - 1)]
    parts += [_called(first, last) for first, last in divisions]
    parts += [_called(last, first) for first, last in divisions]
    # Where logins are made of names, accents are left out of them.
    parts += [sw(attribute, ".".join(words)) for attribute in ("username", "email")]
    return list(dict.fromkeys(parts))


def _words(text: str) -> list[str]:
    """Return the words of a name, those behind a comma first. Raises Refused where there are none."""
    family, _, given = text.partition(",")
    words = f"{given} {family}".replace(",", " ").split()
    if not words:
        raise Refused("`query` is empty.", "Give the start of a name, username or email.", code="EMPTY_QUERY")
    return words


def certain_words(text: str) -> set[str]:
    """Return the words that everybody has whom `people` finds: the first and the last."""
    words = _words(text)
    return {words[0], words[-1]}


def _called(given: str, family: str) -> Filter:
    return All((sw("name.given", given), sw("name.family", family)))


# What PingOne documents for filters of /users (PingOne, "Read All Users" and "SCIM operators"). Custom attributes of
# type STRING work too; they are not listed.
_TEXT_OPERATORS = ("eq", "sw")
USER_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        "accountId address.streetAddress address.locality address.region address.postalCode address.countryCode "
        "externalId locale mobilePhone name.formatted name.middle name.honorificPrefix name.honorificSuffix nickname "
        "photo.href preferredLanguage primaryPhone timezone title type username".split(),
        _TEXT_OPERATORS,
    ),
    **dict.fromkeys(("email", "name.given", "name.family"), (*_TEXT_OPERATORS, "ew")),
    **dict.fromkeys(("id", "enabled", "startDate", "endDate"), ("eq",)),
    "population.id": ("eq",),
    "updatedAt": ("ge", "le"),
    "memberOfGroups": ("[id eq]", '[id eq and type eq "DIRECT"]'),
}
# Attributes of a user that PingOne's documentation leaves out, with the column of the local copy that holds each. Where
# PingOne is asked they are decided from the rows instead.
NOT_FILTERABLE: dict[str, str | None] = {
    "createdAt": "created_at",
    "lastSignOn.at": "last_login_at",
    "account.status": "account_status",
    "account.lockedAt": "locked_at",
    "lifecycle.status": "lifecycle_status",
    "emailVerified": "is_email_verified",
    "mfaEnabled": "is_2fa_enabled",
    "verifyStatus": None,
    "identityProvider.type": None,
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
# What is documented for filters of other lists (PingOne, "Query parameter quick reference").
OTHER_LISTS: dict[str, str] = {
    "groups": 'id, name, externalId and population.id with eq, externalId with sw, memberOfGroups[id eq "…"]',
    "populations": "id with eq, name with eq and sw",
    "environments": "name with sw; id, organization.id, license.id and status with eq",
    "activities": 'a range of the last 14 days (recordedAt ge "…" and recordedAt le "…"), and with it at most one of '
    "action.type, actors.user.id, actors.user.name, actors.client.id, resources.id, resources.type, correlationid and tags "
    "with eq, and resources.population.id",
}


def advised(refused: FilterRefused, text: str | None, custom: Iterable[str] = ()) -> FilterRefused:
    """Return the refusal of a filter of users with what is wrong in the filter itself put first."""
    try:
        told = advice(parse(text), custom) if text is not None else ""
    except Refused as unreadable:
        told = f"{unreadable.what} {unreadable.next_step}"
    return FilterRefused(
        refused.what,
        f"{told} {refused.next_step}".strip(),
        code=refused.code,
        correlation_id=refused.correlation_id,
    )


def advice(refused: Filter, custom: Iterable[str] = ()) -> str:
    """Say which parts of a refused filter are not documented, and what to do instead; empty if all of them are."""
    known = {name.casefold(): name for name in (*USER_ATTRIBUTES, *custom)}
    told: list[str] = []
    for attribute, operator in dict.fromkeys(conditions(refused)):
        name = known.get(attribute.casefold())
        if name is None:
            told.append(_unknown(attribute, known))
        elif name != attribute:
            told.append(f"{attribute[:_SHOWN]} is written {name}")
        elif name in USER_ATTRIBUTES and operator not in USER_ATTRIBUTES[name] and operator != "[]":
            told.append(f"{name} takes {', '.join(USER_ATTRIBUTES[name])}, not {operator}")
        elif name not in USER_ATTRIBUTES and operator not in _TEXT_OPERATORS:
            told.append(f"custom attributes take {', '.join(_TEXT_OPERATORS)}, not {operator}")
    if negates(refused):
        told.append("not is not supported: say it the other way round (enabled eq false), or ask query_directory")
    return f"In it {'; '.join(told)}." if told else ""


def _unknown(attribute: str, known: Mapping[str, str]) -> str:
    """Say what to do instead of filtering by an attribute that is none, or that PingOne does not filter by."""
    meant = attribute.casefold()
    if meant in _ARGUMENTS:
        return f"{attribute} is no attribute: give `{_ARGUMENTS[meant]}` to list_users"
    unfiltered = {name.casefold(): name for name in NOT_FILTERABLE}
    name = unfiltered.get(meant) or _MEANT.get(meant)
    if name in NOT_FILTERABLE:
        column = NOT_FILTERABLE[name]
        instead = f": ask query_directory, column {column} of users" if column else ""
        return f"PingOne does not filter by {name}{instead}"
    if name is not None:
        return f"{attribute} is called {name}"
    near = difflib.get_close_matches(attribute, list(known.values()), n=2)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"the attribute {attribute[:_SHOWN]} is not documented{hint}"
