"""What is secret in control data, sealed: each owner's values by a key of its own, which the key ring wraps.

An owner is a connection or a webhook. Its data key is random and kept wrapped beside the values, so a rotation of the
ring wraps keys anew and touches no value, and who forgets an owner's data key has forgotten its values. A value opens
only for its owner and its field: rows that were swapped are refused.

One owner, `root`, has no values. Its key proves that a ring is the one that these data were made with, and all keys of
other uses (cursors, sessions, the digests of API keys) are derived from it: they outlive a rotation, as nothing would
that is derived from the ring itself, and the oldest key can be thrown away.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr
from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from pingone_mcp.control.database import Database
from pingone_mcp.control.key_ring import KEY_BYTES, ForeignKeys, KeyFile, KeyRing, decrypt, derived, encrypt, lost
from pingone_mcp.control.tables import DATA_KEYS, SEALED_VALUES
from pingone_mcp.errors import Problem
from pingone_mcp.tasks import in_thread

_ROOT = "root"


def of_connection(connection_id: str) -> str:
    """Name a connection as an owner: no id of one kind is an owner of another, whatever somebody asks for."""
    return f"connection:{connection_id}"


def of_hook(connection_id: str) -> str:
    """Name what a provider shows for a connection as an owner: it is no credential by which its directory is read."""
    return f"hook:{connection_id}"


def of_rosters(connection_id: str) -> str:
    """Name the tokens by which the rosters of a connection are pulled as an owner."""
    return f"rosters:{connection_id}"


def of_webhook(webhook_id: str) -> str:
    """Name a webhook as an owner."""
    return f"webhook:{webhook_id}"


class BrokenSeal(Problem):
    """A sealed value does not open where it stands: it was moved there, or changed."""

    def __init__(self) -> None:
        super().__init__(
            "Something sealed in the control data was changed or moved from its place, and is not used.",
            "Look who can write to the control data. Restore a backup, or enter the credentials again.",
            code="BROKEN_SEAL",
        )


@dataclass(frozen=True, slots=True)
class DataKey:
    """The key of one owner, in the clear."""

    owner: str
    key: bytes = field(repr=False)

    def seal(self, name: str, clear: bytes) -> bytes:
        return encrypt(self.key, clear, self._context(name))

    def open(self, name: str, sealed: bytes) -> bytes:
        """Open what was sealed under this name. Raises BrokenSeal."""
        try:
            return decrypt(self.key, sealed, self._context(name))
        except ForeignKeys:
            raise BrokenSeal from None

    def _context(self, name: str) -> bytes:
        return f"pingone-mcp|sealed|1|{self.owner}|{name}".encode()


class Seals:
    """All that is sealed in one database, by one key file. Made by `open_seals`.

    Where another process has rotated the ring meanwhile, the file is read again.
    """

    def __init__(self, database: Database, file: KeyFile, ring: KeyRing, root: bytes) -> None:
        self._database, self._file, self._ring, self._root = database, file, ring, root
        decoy = DataKey("decoy", secrets.token_bytes(KEY_BYTES))
        self._decoy = (ring.wrap(decoy.key, decoy.owner, by=ring.current), ring, decoy.seal("decoy", b"decoy" * 10))

    def derive(self, info: str) -> bytes:
        """Return 32 bytes for one use, the same for as long as the control data live. `info` names the use."""
        return derived(self._root, f"root: {info}")

    def digest(self, text: str) -> bytes:
        """Return what recognizes a key or a token: nobody can make one for a text of his own without the ring."""
        return hmac.digest(self.derive("digests of credentials"), text.encode(), "sha256")

    async def check(self) -> None:
        """Raise Unconfigured where the key file is gone, or lacks the key that wraps at present."""
        before = await self._in_use()
        ring = await in_thread(self._file.read, pool="disk")
        # Asked again for a rotation that came to its end between the two, and forgot the key that was in use before it.
        if ring is None or (before not in ring.keys and await self._in_use() not in ring.keys):
            raise lost(self._file.path)

    async def add_owner(self, owner: str) -> DataKey:
        """Make the data key of a new owner."""
        async with self._database.write() as connection:
            # Held until the end, so that no rotation goes past a key that is wrapped by its predecessor.
            by = (await connection.scalars(_root_query().with_for_update(read=True))).one()
            key = DataKey(owner, secrets.token_bytes(KEY_BYTES))
            wrapped = (await self._ring_with(by)).wrap(key.key, owner, by=by)
            await connection.execute(insert(DATA_KEYS).values(owner=owner, key_id=by, wrapped=wrapped))
        return key

    async def key_of(self, owner: str) -> DataKey:
        """Return the data key of an owner. Raises LookupError where there is none, Unconfigured and BrokenSeal."""
        query = select(DATA_KEYS.c.key_id, DATA_KEYS.c.wrapped).where(DATA_KEYS.c.owner == owner)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise LookupError("no such owner")
        try:
            return DataKey(owner, (await self._ring_with(row.key_id)).unwrap(row.wrapped, owner, by=row.key_id))
        except ForeignKeys:
            raise BrokenSeal from None

    async def forget_owner(self, owner: str) -> None:
        """Remove an owner's data key, and its values with it."""
        async with self._database.write() as connection:
            await connection.execute(delete(DATA_KEYS).where(DATA_KEYS.c.owner == owner))

    async def put(self, key: DataKey, values: Mapping[str, SecretStr]) -> None:
        """Keep these values in the place of all that the owner had."""
        rows = [
            {"owner": key.owner, "field": name, "sealed": key.seal(name, value.get_secret_value().encode())}
            for name, value in values.items()
        ]
        async with self._database.write() as connection:
            await connection.execute(delete(SEALED_VALUES).where(SEALED_VALUES.c.owner == key.owner))
            if rows:
                await connection.execute(insert(SEALED_VALUES), rows)

    async def values(self, owner: str) -> dict[str, SecretStr]:
        """Return all values of an owner. Raises what `key_of` raises."""
        query = select(SEALED_VALUES.c.field, SEALED_VALUES.c.sealed).where(SEALED_VALUES.c.owner == owner)
        async with self._database.read() as connection:
            key = await self.key_of(owner)
            rows = await connection.execute(query)
            return {row.field: SecretStr(key.open(row.field, row.sealed).decode()) for row in rows}

    async def values_evenly(self, owner: str) -> dict[str, SecretStr]:
        """Return all values of an owner; none of one that there is not, which takes as long to find out."""
        query = select(DATA_KEYS.c.key_id, DATA_KEYS.c.wrapped, SEALED_VALUES.c.field, SEALED_VALUES.c.sealed)
        joined = query.join_from(DATA_KEYS, SEALED_VALUES, SEALED_VALUES.c.owner == DATA_KEYS.c.owner)
        async with self._database.read() as connection:
            rows = (await connection.execute(joined.where(DATA_KEYS.c.owner == owner))).all()
        if not rows:
            wrapped, ring, sealed = self._decoy
            DataKey("decoy", ring.unwrap(wrapped, "decoy", by=ring.current)).open("decoy", sealed)
            return {}
        by = rows[0].key_id
        try:
            key = DataKey(owner, (await self._ring_with(by)).unwrap(rows[0].wrapped, owner, by=by))
        except ForeignKeys:
            raise BrokenSeal from None
        return {row.field: SecretStr(key.open(row.field, row.sealed).decode()) for row in rows}

    async def rotate(self, *, forget_old: bool = False) -> int:
        """Make a new key the current one and wrap every data key by it; return how many those are.

        A rotation that did not come to its end is gone on with. `forget_old` removes the keys that wrap nothing any
        more from the file: backups that were made before cannot be opened then.
        """
        in_use = await self._in_use()

        def with_new(ring: KeyRing) -> list[bytes]:
            new = [secrets.token_bytes(KEY_BYTES)] if ring.current == in_use else []
            return [*new, *ring.keys.values()]

        self._ring = await in_thread(self._file.change, with_new, pool="disk")
        wrapped = await self.wrap_by_current()
        if forget_old:
            await self._forget_old()
        return wrapped

    async def wrap_by_current(self) -> int:
        """Wrap by the current key what others wrap, all or nothing; return how many data keys there are."""
        async with self._database.write() as connection:
            await connection.execute(_root_query().with_for_update())
            rows = (await connection.execute(select(DATA_KEYS).with_for_update())).all()
            # As it is now: another process may have rotated it meanwhile, and forgotten what was the first key.
            ring = await in_thread(self._file.read, pool="disk")
            if ring is None:
                raise lost(self._file.path)
            self._ring, by = ring, ring.current
            for row in rows:
                if row.key_id == by:
                    continue
                key = await self.key_of(row.owner)
                wrapped = self._ring.wrap(key.key, row.owner, by=by)
                change = update(DATA_KEYS).where(DATA_KEYS.c.owner == row.owner).values(key_id=by, wrapped=wrapped)
                await connection.execute(change)
        return len(rows)

    async def _forget_old(self) -> None:
        async with self._database.write() as connection:
            # Held until the file is written, so that no other rotation wraps by a key that is being forgotten.
            await connection.execute(_root_query().with_for_update())
            in_use = set(await connection.scalars(select(DATA_KEYS.c.key_id).distinct()))

            def needed(ring: KeyRing) -> list[bytes]:
                return [key for name, key in ring.keys.items() if name in in_use or name == ring.current]

            self._ring = await in_thread(self._file.change, needed, pool="disk")

    async def _in_use(self) -> str:
        async with self._database.read() as connection:
            return (await connection.scalars(_root_query())).one()

    async def _ring_with(self, name: str) -> KeyRing:
        """Return the ring with the key of this id. Raises Unconfigured where the file has none."""
        if name not in self._ring.keys:
            ring = await in_thread(self._file.read, pool="disk")
            if ring is None or name not in ring.keys:
                raise lost(self._file.path)
            self._ring = ring
        return self._ring


async def open_seals(database: Database, file: KeyFile) -> Seals:
    """Return the seals of a database, made with it where it is new. Raises Unconfigured where the keys are others.

    The first key of the file is made the current one, as after a rotation that did not come to its end, or by hand.
    """
    root = await _root(database)
    if root is None:
        await _make_root(database, await in_thread(file.make, pool="disk"))
        root = await _root(database)
        assert root is not None
    ring = await in_thread(file.read, pool="disk")
    try:
        key = ring.unwrap(root.wrapped, _ROOT, by=root.key_id) if ring is not None else None
    except ForeignKeys:
        key = None
    if ring is None or key is None:
        raise lost(file.path)
    seals = Seals(database, file, ring, key)
    if root.key_id != ring.current:
        await seals.wrap_by_current()
    return seals


@dataclass(frozen=True, slots=True)
class _Wrapped:
    key_id: str
    wrapped: bytes


async def _root(database: Database) -> _Wrapped | None:
    async with database.read() as connection:
        query = select(DATA_KEYS.c.key_id, DATA_KEYS.c.wrapped).where(DATA_KEYS.c.owner == _ROOT)
        row = (await connection.execute(query)).one_or_none()
    return None if row is None else _Wrapped(row.key_id, row.wrapped)


async def _make_root(database: Database, ring: KeyRing) -> None:
    wrapped = ring.wrap(secrets.token_bytes(KEY_BYTES), _ROOT, by=ring.current)
    try:
        async with database.write() as connection:
            await connection.execute(insert(DATA_KEYS).values(owner=_ROOT, key_id=ring.current, wrapped=wrapped))
    except IntegrityError:
        return  # another process was first


def _root_query() -> Select[str]:
    return select(DATA_KEYS.c.key_id).where(DATA_KEYS.c.owner == _ROOT)
