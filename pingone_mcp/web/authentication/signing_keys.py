"""The keys with which an authorization server signs: asked for when they are needed, and kept."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from pingone_mcp.clock import Clock
from pingone_mcp.tasks import SingleFlight
from pingone_mcp.web.authentication.discovery import NoKeys, keys_address, read_published

_logger = logging.getLogger(__name__)
SignedBy = Literal["RS256", "PS256", "ES256"]
ALGORITHMS: tuple[SignedBy, ...] = ("RS256", "PS256", "ES256")
_FRESH = 300  # seconds after which they are asked for anew
_PAUSE = 30  # seconds between two attempts, so that made-up key ids and an issuer that is down cost little
_KEPT = 24 * 60 * 60  # seconds that keys are used where the issuer does not answer
_PATIENCE = 10  # seconds for one attempt, from the metadata to the last key
_RSA_BITS = range(2048, 8193)


class UnknownKey(Exception):
    """No key of the issuer has this id, and is for this algorithm."""


class _Published(msgspec.Struct):
    """A key as RFC 7517 §4 has it; what makes it up stays in the object it was read from."""

    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    crv: str | None = None
    key_ops: list[str] | None = None


class _PublishedKeys(msgspec.Struct):
    keys: list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A public key, and the algorithms that it may be used with."""

    id: str | None
    algorithms: tuple[SignedBy, ...]
    public: RSAPublicKey | EllipticCurvePublicKey


@dataclass(slots=True)
class SigningKeys:
    """The keys of one issuer. Those who need them at the same time wait for one and the same attempt.

    They are asked for anew after five minutes, and once, half a minute after the last attempt at the earliest, for a
    key that is not among them. Where the issuer does not answer, they are used for a day.
    """

    issuer: str
    client: httpx.AsyncClient
    flight: SingleFlight
    clock: Clock
    _keys: tuple[SigningKey, ...] = ()
    _address: str | None = None
    _read_at: float = field(default=-math.inf)
    _tried_at: float = field(default=-math.inf)

    async def key(self, key_id: str | None, algorithm: SignedBy) -> RSAPublicKey | EllipticCurvePublicKey:
        """Return the key that a token names; None names the only one there is. Raises UnknownKey."""
        if self._age > _FRESH:
            await self._renew()
        found = self._find(key_id, algorithm)
        if found is None:
            await self._renew()
            found = self._find(key_id, algorithm)
        if found is None:
            raise UnknownKey
        return found.public

    @property
    def _age(self) -> float:
        return self.clock.monotonic() - self._read_at

    def _find(self, key_id: str | None, algorithm: SignedBy) -> SigningKey | None:
        if self._age > _KEPT:
            return None
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if key_id is not None:
            return next((key for key in fitting if key.id == key_id), None)
        return fitting[0] if len(fitting) == 1 else None

    async def _renew(self) -> None:
        """Ask for the keys, unless that was tried a moment ago; where it fails, those that are there stay."""
        if self.clock.monotonic() - self._tried_at >= _PAUSE:
            await self.flight.do((self.issuer, "keys"), self._attempt, lasting=True)

    async def _attempt(self) -> None:
        why: str | None = f"it did not answer within {_PATIENCE} seconds"
        try:
            with self.clock.within(_PATIENCE):
                self._keys = await self._read()
                self._read_at = self.clock.monotonic()
                why = None
        except NoKeys as error:
            why = str(error)
        finally:
            self._tried_at = self.clock.monotonic()
        if why is not None:
            _logger.warning("The keys of the authorization server %s could not be read: %s", self.issuer, why)

    async def _read(self) -> tuple[SigningKey, ...]:
        """Ask where they were the last time; where they are not any more, look where they are now."""
        if self._address is not None:
            try:
                return usable_keys(await read_published(self.client, self._address))
            except NoKeys:
                self._address = None
        address = await keys_address(self.client, self.issuer)
        keys = usable_keys(await read_published(self.client, address))
        self._address = address
        return keys


def usable_keys(document: bytes) -> tuple[SigningKey, ...]:
    """Return the keys of a JWK Set that sign with one of our algorithms; others are passed over. Raises NoKeys."""
    try:
        published = msgspec.json.decode(document, type=_PublishedKeys).keys
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise NoKeys("these are no keys") from None
    keys = tuple(_usable(published))
    if not keys:
        raise NoKeys(f"none of these keys is for {', '.join(ALGORITHMS)}")
    return keys


def _usable(published: list[Any]) -> Iterator[SigningKey]:
    for one in published:
        try:
            known = msgspec.convert(one, _Published)
            algorithms = _algorithms(known)
            public = PyJWK(one, algorithms[0]).key if algorithms else None
        except (msgspec.MsgspecError, PyJWTError, ValueError, TypeError):
            continue
        if isinstance(public, EllipticCurvePublicKey) or (
            isinstance(public, RSAPublicKey) and public.key_size in _RSA_BITS
        ):
            yield SigningKey(id=known.kid, algorithms=algorithms, public=public)


def _algorithms(key: _Published) -> tuple[SignedBy, ...]:
    """Return what a key may be used with, by its type and by what it says itself."""
    if key.use not in (None, "sig") or (key.key_ops is not None and "verify" not in key.key_ops):
        return ()
    of_type: tuple[SignedBy, ...] = ()
    if key.kty == "RSA":
        of_type = ("RS256", "PS256")
    elif key.kty == "EC" and key.crv == "P-256":
        of_type = ("ES256",)
    return tuple(one for one in of_type if key.alg in (None, one))
