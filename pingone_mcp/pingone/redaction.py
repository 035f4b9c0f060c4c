"""Secrets that PingOne's own objects may carry, blanked before they leave.

What a value means is known by the name it stands under, by its neighbours, or by its own form. A secret inside a text
(an URL with a key in its query, JSON in a custom attribute, a column of CSV) cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import unquote

REDACTED = "[redacted]"
# Names of members whose values are secrets: application secrets, passwords, keys, tokens, codes. Matched on the last
# words of a camelCase or snake_case name, so that `tokenEndpointAuthMethod` and `passwordPolicy` stay.
_SECRET = re.compile(
    r"(?:^|[a-z0-9_-])(?:(?:client|shared|web|app|application|api|user)?secrets?|passwords?|passwd|pwd|passphrase|"
    r"(?:access|refresh|id|api|auth|bearer)[_-]?tokens?|token|"
    r"(?:api|private|secret|encryption|decryption|signing|verification)[_-]?keys?|key[_-]?uri|"
    r"credentials?|authorization|cookie|otp|passcode|seeds?|"
    r"(?:recovery|verification|pairing|activation)[_-]?code)$",
    re.IGNORECASE,
)
_PASS = re.compile(r"pass", re.IGNORECASE)
# They end like secrets and are settings; the test walks PingOne's specifications for more.
_SETTINGS = frozenset({"discoverablecredentials", "minutestoretainpreviouscredentials", "totp"})
# Words that are secrets in the answers of some paths only: the code that pairs a device, the key of a push service.
_BY_PLACE = {
    "pairingKeys": frozenset({"code"}),
    "password": frozenset({"value"}),
    "pushCredentials": frozenset({"key"}),
}
# Maps of HTTP headers hold credentials under names of anybody's choice; these headers are known to hold none.
_PLAIN_HEADERS = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})
# Texts that are secrets wherever they stand: private keys (RFC 7468) and what an authenticator app scans.
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)|\botpauth://\S*",
    re.DOTALL | re.IGNORECASE,
)


def redacted(value: Any, *, also: Collection[str] = ()) -> Any:
    """Return JSON data in which texts and numbers under a secret-like name, or one of `also`, are `[redacted]`.

    So are those in a list under such a name, the `value` of an object there (`{"password": {"value": …}}`) or beside
    such a name (`{"name": "password", "value": …}`, `{"dataType": "secret", "value": …}`), and HTTP headers.
    """
    if isinstance(value, dict):
        told = _is_told_secret(value, also)
        return {key: _member(str(key), member, also, told=told) for key, member in value.items()}
    if isinstance(value, list):
        return [redacted(item, also=also) for item in value]
    return redacted_text(value) if isinstance(value, str) else value


def redacted_text(text: str) -> str:
    """Return a text without the private keys in it."""
    return _PEM.sub(REDACTED, text)


def secrets_of(segments: Sequence[str]) -> frozenset[str]:
    """Return the further names that hold secrets in what a path answers."""
    return frozenset[str]().union(*(_BY_PLACE.get(unquote(segment), ()) for segment in segments))


def _member(name: str, value: Any, also: Collection[str], *, told: bool) -> Any:
    if _is_secret(name, also) or (told and name == "value"):
        return _blank(value, also)
    if name == "headers" and isinstance(value, dict):
        return {key: member if key.lower() in _PLAIN_HEADERS else _blank(member, also) for key, member in value.items()}
    return redacted(value, also=also)


def _is_secret(name: str, also: Collection[str]) -> bool:
    secret = _SECRET.search(name) or _PASS.fullmatch(name)
    return name in also or (secret is not None and name.lower() not in _SETTINGS)


def _is_told_secret(members: dict[str, Any], also: Collection[str]) -> bool:
    """Say whether an object of a name (or a type) and a value tells that the value is a secret."""
    if "value" not in members:
        return False
    named = any(isinstance(name := members.get(by), str) and _is_secret(name, also) for by in ("name", "key"))
    return named or any(str(members.get(by)).lower() == "secret" for by in ("dataType", "type"))


def _blank(value: Any, also: Collection[str]) -> Any:
    if isinstance(value, list):
        return [_blank(item, also) for item in value]
    if isinstance(value, dict):
        return {
            key: _blank(member, also) if key == "value" else _member(str(key), member, also, told=False)
            for key, member in value.items()
        }
    return REDACTED if _is_scalar(value) else value


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool))
