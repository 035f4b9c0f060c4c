"""A user as SCIM has it (RFC 7643 §4.1 and §4.3): what of it says who has an account, and nothing else.

Whoever pulls a list keeps no more than this: no password, no certificate, no address of a home. `id` is the
application's own, and no attribute of the directory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pingone_mcp.directory.models import JsonObject

CORE = "urn:ietf:params:scim:schemas:core:2.0:user"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"
# Their names in small letters, for case makes no difference (RFC 7643 §2.1).
_OF_THE_CORE = frozenset(
    (
        "username externalid name displayname nickname title usertype preferredlanguage locale timezone active emails "
        "roles"
    ).split()
)
_OF_THE_ENTERPRISE = frozenset(("employeenumber", "costcenter", "organization", "division", "department", "manager"))
_PARTS_OF_NAME = ("formatted", "givenname", "familyname")


def is_user(entry: Mapping[Any, Any]) -> bool:
    """Say whether an entry calls itself a user of SCIM."""
    schemas = entry.get("schemas")
    return isinstance(schemas, list) and any(isinstance(one, str) and one.lower() == CORE for one in schemas)


def members_of(user: Mapping[Any, Any]) -> JsonObject:
    """Return the members of a user by which a roster is read, in the order in which they stand there.

    An employee number is the external id of who has no other. The display name is the name where there is none in full.
    """
    extension = next((value for name, value in user.items() if str(name).lower() == ENTERPRISE), None)
    extended = dict(_chosen(extension, _OF_THE_ENTERPRISE)) if isinstance(extension, Mapping) else {}
    found: JsonObject = {**extended, **dict(_chosen(user, _OF_THE_CORE))}
    for key, value in list(found.items()):
        match key.lower():
            case "name" if isinstance(value, Mapping):
                found[key] = {part: text for part, text in value.items() if str(part).lower() in _PARTS_OF_NAME}
                if any(str(part).lower() == "formatted" and text for part, text in value.items()):
                    found = {name: one for name, one in found.items() if name.lower() != "displayname"}
            case "manager":
                found[key] = _manager(value)
    return {key: value for key, value in found.items() if value is not None}


def needed_of(user: Mapping[Any, Any]) -> JsonObject:
    """Return a user as it is, without the members that `members_of` does not look at."""
    found: JsonObject = {}
    for name, value in user.items():
        key = str(name).lower()
        if key == ENTERPRISE and isinstance(value, Mapping):
            found[name] = dict(_chosen(value, _OF_THE_ENTERPRISE))
        elif key in _OF_THE_CORE:
            found[name] = value
    return found


def _chosen(members: Mapping[Any, Any], wanted: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in members.items():
        if str(name).lower() in wanted and value not in (None, "", [], {}):
            yield str(name), value


def _manager(value: Any) -> str | None:
    """Return a manager by name; an id of the application's own names nobody here."""
    if isinstance(value, str):
        return value
    members = {str(name).lower(): part for name, part in value.items()} if isinstance(value, Mapping) else {}
    name = members.get("displayname")
    return name if isinstance(name, str) and name else None
