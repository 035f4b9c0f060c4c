"""What the directory says of a user under the name of an attribute, however that name is written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pingone_mcp.directory.models import Reviewed


@lru_cache(maxsize=1_000)
def squeezed(name: str) -> str:
    """Return a name without case, spaces and punctuation: costCentre, cost_centre and Cost Centre are one."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())


def attribute_of(user: Reviewed, name: str, *, several: bool = False) -> tuple[str, ...]:
    """Return the ways in which the directory spells the value of an attribute, the usual one first; none if absent.

    A unified field comes before a custom attribute of the same name. `several` adds the members of custom attributes
    that are lists; other structures are no value.
    """
    wanted = squeezed(name)
    if (field := _FIELDS.get(wanted)) is not None:
        return field(user)
    value = next((value for own, value in user.custom_attributes.items() if squeezed(own) == wanted), None)
    if several and isinstance(value, list):
        return tuple(text for item in value for text in _scalar(item))
    return _scalar(value)


def _manager(user: Reviewed) -> tuple[str, ...]:
    manager = user.manager
    if manager is None:
        return ()
    spellings = (manager.name, manager.email, manager.username, manager.id, manager.reference)
    return tuple(value for value in spellings if value)


def _scalar(value: Any) -> tuple[str, ...]:
    """Return a value as the one text it has, or nothing where it is absent or a structure."""
    if isinstance(value, str):
        return () if not value or value.isspace() else (value,)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (str(value),) if isinstance(value, int | float) else ()


# How the directory spells what a roster may carry: any of them is the same, the first one is shown.
_FIELDS: Mapping[str, Callable[[Reviewed], tuple[str, ...]]] = MappingProxyType(
    {
        "username": lambda user: _scalar(user.username),
        "email": lambda user: tuple(dict.fromkeys(filter(None, (user.email, *user.addresses)))),
        "externalid": lambda user: _scalar(user.external_id),
        "name": lambda user: _scalar(user.name) or _scalar(" ".join(filter(None, (user.first_name, user.last_name)))),
        "firstname": lambda user: _scalar(user.first_name),
        "lastname": lambda user: _scalar(user.last_name),
        "title": lambda user: _scalar(user.title),
        "department": lambda user: _scalar(user.department),
        "manager": _manager,
        "type": lambda user: _scalar(user.type),
        "locale": lambda user: _scalar(user.locale),
        "preferredlanguage": lambda user: _scalar(user.preferred_language),
        "timezone": lambda user: _scalar(user.timezone),
    }
)
