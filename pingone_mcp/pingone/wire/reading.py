"""Users of PingOne from the bytes of a page: typed where they are as documented, else leniently.

The decoder of one user refuses attributes that it has not seen, so that none is lost unnoticed. A user who has one is
read leniently, and the decoder learns its name: in a directory with custom attributes that happens a few times.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from pingone_mcp.directory.models import JsonObject, User
from pingone_mcp.directory.text import json_text
from pingone_mcp.directory.user_columns import UserRow
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.pingone.wire import user_rows
from pingone_mcp.pingone.wire.lenient import as_text
from pingone_mcp.pingone.wire.structs import CORE_ATTRIBUTES, PingOneUser, ReadUser
from pingone_mcp.pingone.wire.user_objects import manager_reference, read_object
from pingone_mcp.pingone.wire.users import unified

# So many custom attributes, and names so long, are learned; users who have others are read leniently.
MOST_NAMES, _LONGEST_NAME = 300, 256
NO_NAMES: Mapping[str, str | None] = MappingProxyType({})
_PLAIN = frozenset((str, bool, type(None)))


class TakesLong(Exception):
    """Users can be read, but it takes so long that it should be done beside the event loop."""


class UserReader:
    """Read the users of one connection: what was learned of a tenant's attributes never serves another.

    `attributes` says which attributes hold `department` and `manager`.
    """

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self._attributes = attributes
        self._department, self._manager = attributes.get("department"), attributes.get("manager")
        # A core attribute under a second name has no place in the structs.
        self._is_typed = CORE_ATTRIBUTES.isdisjoint(attributes.values())
        self._learned = _Learned(())  # replaced as a whole: threads may read side by side

    def read(self, raws: Sequence[Raw], *, most: float = math.inf) -> tuple[list[ReadUser], int]:
        """Return the users of a page, and how many things of it have no id.

        Raises TakesLong where more than `most` bytes of them have to be read leniently.
        """
        if not self._is_typed and sum(map(len, raws)) > most:
            raise TakesLong
        found: list[ReadUser] = []
        left_out = 0
        for raw in raws:
            if (typed := self._typed(raw)) is not None:
                found.append(typed)
                continue
            if (most := most - len(raw)) < 0:
                raise TakesLong
            try:
                found.append(self._lenient(raw))
            except UnexpectedAnswer:
                left_out += 1
        return found, left_out

    def user(
        self,
        read: ReadUser,
        environments: Mapping[str, str | None] = NO_NAMES,
        populations: Mapping[str, str | None] = NO_NAMES,
        *,
        remote_data: bool = False,
    ) -> User:
        """Return the unified user; `environments` and `populations` give names by id."""
        native = _native(read) if remote_data else None
        try:
            return unified(read, environments, populations, remote_data=native)
        except (ValueError, OverflowError):  # a time that is none
            return unified(self._again(read), environments, populations, remote_data=native)

    def row(self, read: ReadUser, environment: str, *, remote_data: bool = False) -> UserRow:
        """Return the user as a row of an environment."""
        native = _native(read) if remote_data else None
        try:
            return user_rows.row(read, environment, remote_data=native)
        except (ValueError, OverflowError):
            return user_rows.row(self._again(read), environment, remote_data=native)

    def _typed(self, raw: Raw) -> ReadUser | None:
        """Return a user that is as documented, with attributes that are known; None for any other."""
        if not self._is_typed:
            return None
        learned = self._learned
        try:
            known = learned.decode(raw)
        except (ValueError, RecursionError):  # msgspec's are ValueErrors
            return None
        custom = learned.custom(known)
        if not known.id or custom is None:
            return None
        department = custom.get(self._department) if self._department is not None else None
        if department is not None and not isinstance(department, str):
            return None
        try:
            manager = manager_reference(custom.get(self._manager)) if self._manager is not None else None
        except TypeError:
            return None
        return ReadUser(known, custom, department, manager, (), raw)

    def _lenient(self, raw: Raw) -> ReadUser:
        value = json_text.object_of(str(raw, "utf-8"))
        self._learn(value)
        return read_object(value, self._attributes)._replace(raw=raw)

    def _again(self, read: ReadUser) -> ReadUser:
        return self._lenient(read.raw) if read.raw is not None else read

    def _learn(self, value: JsonObject) -> None:
        names = self._learned.names
        new = [name for name in value if name not in CORE_ATTRIBUTES and name not in names and _can_be_learned(name)]
        if new and self._is_typed and len(names) < MOST_NAMES:
            self._learned = _Learned(tuple(sorted((*names, *new)[:MOST_NAMES])))


class _Identity(msgspec.Struct):
    id: str


_identity = msgspec.json.Decoder(_Identity).decode


def ids_of(raws: Iterable[Raw]) -> list[str]:
    """Return the ids of a page's users; one who has none cannot be told from others."""
    found: list[str] = []
    for raw in raws:
        try:
            identity = _identity(raw).id
        except (ValueError, RecursionError):
            identity = as_text(json_text.object_of(str(raw, "utf-8")).get("id")) or ""
        if identity:
            found.append(identity)
    return found


class _Learned:
    """A decoder of users who have no custom attributes but those of these `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._fields = [(f"custom_{number}", name) for number, name in enumerate(names)]
        unread = CORE_ATTRIBUTES.difference(PingOneUser.__struct_encode_fields__)
        skipped = [(f"unread_{number}", name) for number, name in enumerate(sorted(unread))]
        learned = msgspec.defstruct(
            "LearnedUser",
            [
                *((field, Raw, Raw()) for field, _ in skipped),
                *((field, Any, UNSET) for field, _ in self._fields),
            ],
            bases=(PingOneUser,),
            rename=dict((*skipped, *self._fields)),
            forbid_unknown_fields=True,
            kw_only=True,
        )
        self.decode = msgspec.json.Decoder[PingOneUser](learned).decode

    def custom(self, known: PingOneUser) -> JsonObject | None:
        """Return the custom attributes of a user; None where one of them must be read another way."""
        found: JsonObject = {}
        for field, name in self._fields:
            value = getattr(known, field)
            if value is UNSET:
                continue
            if type(value) not in _PLAIN and not json_text.is_as_loaded(value):
                return None
            found[name] = value
        return found


def _can_be_learned(name: str) -> bool:
    """Say whether msgspec takes a name for a field."""
    return len(name) <= _LONGEST_NAME and name.isprintable() and '"' not in name and "\\" not in name


def _native(read: ReadUser) -> JsonObject | None:
    return json_text.shallow(json_text.object_of(str(read.raw, "utf-8"))) if read.raw is not None else None
