"""Secrets that PingOne's own objects may carry, blanked before they leave.

What a value means is known by the name it stands under, by its neighbours, or by its own form. A secret inside a text
(an URL with a key in its query, JSON in a custom attribute, a column of CSV) cannot be known.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

REDACTED = "[redacted]"
# What makes a secret of a value wherever it stands in its name, of which the letters alone are looked at.
_STEMS = re.compile(
    r"secret(?!ar(?:y|ies|ial|iat))|passw(?:or)?d|passphrase|passcode|credential|token(?!i[sz])|authorization|bearer|"
    r"(?:access|account|admin|aes|api|app|auth|backup|cipher|client|consumer|crypto|decrypt(?:ion)?|encrypt(?:ion)?|hmac|"
    r"licen[cs]e|master|pairing|priv|private|recovery|root|sas|service|session|shared|signing|ssh|storage|subscription|"
    r"symmetric|unlock|verification|webhook|wrapping)"
    r"key(?!ids?$|words?|board)|keyuri|"
    r"(?:access|activation|auth|backup|device|login|mfa|onetime|pairing|recovery|reset|security|sms|user|verification)"
    r"code|(?:challenge|security)answer|clientassertion|codeverifier|connectionstring|keymaterial|keytab|mnemonic|"
    r"recoveryphrase|(?:otpauth|provisioning|totp)ur[il]"
)
# What does so as a word of its own; `pass` as the last one.
_WORDS = frozenset("cookie cookies creds jwt jwts otp otps pin pins psk pwd pwds salt seed seeds".split())
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Names of PingOne (and of OpenID Connect) that sound like secrets and are settings, by their letters alone; the test
# walks PingOne's specifications for more.
_SETTINGS = frozenset(
    """
    authorizationtype oauthtokenrequest oauthtokenurl accesstokenvalidityseconds authorizationendpoint
    credentialsview deviceauthorization discoverablecredentials idtokensignedresponsealg labelpasswordverify
    minutestoretainpreviouscredentials otpinput otplength pairingkeyformat pairingkeylifetime
    passcodegraceperiod passcoderefreshduration passwordauthority passwordpolicies passwordpolicy passwordstatus
    publickeycredentialhints refreshtokenduration refreshtokenrollingduration
    refreshtokenrollinggraceperiodduration refreshtokentype rlgtokencheckrps tlsclientauthkeypair tokenendpoint
    tokenendpointauthmethod tokentype
    """.split()
)
# A number that measures a secret is none: `accessTokenValiditySeconds`.
_MEASURE = re.compile(r"(?:seconds|minutes|hours|days|length|count|duration|lifetime|validity|attempts|size|period)$")
# What may stay below the name of a secret, by its own name and form: PingOne keeps objects there as well.
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]{1,30}")
_FORMS = {
    "id": _UUID,
    "href": re.compile(r"https?://[^\s?#@]+"),
    "status": _CONSTANT,
    "timeUnit": _CONSTANT,
    "type": _CONSTANT,
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{5,20}(?:Z|[+-]\d\d:?\d\d)")
# Words that are secrets, or none, in the answers of some paths only: the code that pairs a device, the key of a push
# service, and the records of a mail domain, which everybody may look up.
_SECRETS_BY_PLACE = {"pairingkeys": "code", "password": "value", "pushcredentials": "key"}
_SETTINGS_BY_PLACE = {"emaildomains": "tokens"}
# Private parameters of a JSON Web Key (RFC 7518 §6), an object with a `kty`.
_PRIVATE_OF_JWK = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
# What stands beside the name of a secret, and is it.
_VALUES = frozenset({"value", "values", "defaultvalue"})
# Maps of HTTP headers hold credentials under names of anybody's choice; these headers are known to hold none.
_PLAIN_HEADERS = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})
# Texts that are secrets wherever they stand: private keys (RFC 7468) and what an authenticator app scans.
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)|"
    r"\botpauth(?:-migration)?://\S*",
    re.DOTALL | re.IGNORECASE,
)
_LONGEST = 200  # of a name that is remembered


@dataclass(frozen=True, slots=True)
class _Name:
    """What a name says: its letters alone, and whether it is that of a secret, or of a map of HTTP headers."""

    letters: str
    secret: bool
    headers: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """The letters of further names that hold secrets, or none, in what one path answers."""

    secrets: frozenset[str]
    settings: frozenset[str]

    def is_secret(self, name: str) -> bool:
        known = _known(name)
        return known.letters in self.secrets or (known.secret and known.letters not in self.settings)


def redacted(value: Any, *, at: Sequence[str] = ()) -> Any:
    """Return JSON data in which the secrets are `[redacted]`; `at` are the segments of the path that it belongs to.

    Every text and number under a secret-like name is one, at any depth (PingOne's ids, links, times and constants
    there aside), and so are the `value` beside such a name (`{"name": "password", "value": …}`, `{"dataType":
    "secret", "value": …}`), the private half of a JSON Web Key, and HTTP headers. Switches and null stay.
    """
    return _redacted(value, _place(at))


def redacted_text(text: str) -> str:
    """Return a text without the private keys in it."""
    return _PEM.sub(REDACTED, text)


def _place(segments: Sequence[str]) -> _Place:
    words = [unquote(segment).casefold() for segment in segments]
    return _Place(
        secrets=frozenset(_SECRETS_BY_PLACE[word] for word in words if word in _SECRETS_BY_PLACE),
        settings=frozenset(_SETTINGS_BY_PLACE[word] for word in words if word in _SETTINGS_BY_PLACE),
    )


def _redacted(value: Any, place: _Place) -> Any:
    if isinstance(value, dict):
        secrets = _marked_secrets(value, place)
        return {key: _member(str(key), member, place, secrets) for key, member in value.items()}
    if isinstance(value, list):
        return [_redacted(item, place) for item in value]
    return redacted_text(value) if isinstance(value, str) else value


def _member(name: str, value: Any, place: _Place, secrets: frozenset[str]) -> Any:
    if name in secrets or place.is_secret(name):
        return value if _is_number(value) and _MEASURE.search(_known(name).letters) else _blank(value)
    return _headers(value, place) if _known(name).headers else _redacted(value, place)


def _marked_secrets(members: dict[str, Any], place: _Place) -> frozenset[str]:
    """Return the names of the secrets among members that the others mark as such."""
    if isinstance(members.get("kty"), str):
        return _PRIVATE_OF_JWK
    values = frozenset(name for name in members if name.casefold() in _VALUES)
    if not values:
        return values
    about = {name.casefold(): member for name, member in members.items() if isinstance(member, str)}
    named = any(place.is_secret(about[by]) for by in ("name", "key") if by in about)
    is_secret = named or any(about.get(by, "").casefold() == "secret" for by in ("datatype", "type"))
    return values if is_secret else frozenset()


def _blank(value: Any) -> Any:
    if isinstance(value, list):
        return [_blank(item) for item in value]
    if isinstance(value, dict):
        return {key: member if _is_plain(str(key), member) else _blank(member) for key, member in value.items()}
    return REDACTED if isinstance(value, str) or _is_number(value) else value


def _is_plain(name: str, value: Any) -> bool:
    """Say whether a member below the name of a secret is what PingOne keeps beside it."""
    if _is_number(value):
        return _MEASURE.search(name.casefold()) is not None
    form = _TIME if name.endswith("At") else _FORMS.get(name)
    return isinstance(value, str) and form is not None and form.fullmatch(value) is not None


def _headers(value: Any, place: _Place) -> Any:
    """Blank HTTP headers, however they are written: a map, pairs of name and value, or lines."""
    if isinstance(value, list):
        return [_headers(item, place) for item in value]
    if isinstance(value, str):
        return "\n".join(map(_header_line, redacted_text(value).split("\n")))
    if not isinstance(value, dict):
        return value
    name = value.get("name", value.get("key"))
    if isinstance(name, str) and "value" in value:
        return {key: _header(name, member) if key == "value" else member for key, member in value.items()}
    return {key: _header(str(key), member) for key, member in value.items()}


def _header(name: str, value: Any) -> Any:
    return value if name.strip().casefold() in _PLAIN_HEADERS else _blank(value)


def _header_line(line: str) -> str:
    name, colon, _ = line.partition(":")
    return f"{name}: {REDACTED}" if colon and name.strip().casefold() not in _PLAIN_HEADERS else line


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(name: str) -> _Name:
    return _remembered(name) if len(name) <= _LONGEST else _judged(name)


def _judged(name: str) -> _Name:
    """Judge a name by its letters and words; accents, widths and what nobody sees make no difference."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    letters = "".join(filter(str.isalpha, plain.lower()))
    words = [word.lower() for word in _SPLIT.findall(plain)]
    short = not _WORDS.isdisjoint([*words, *re.findall(r"[a-z]+", plain.lower())]) or words[-1:] == ["pass"]
    secret = letters not in _SETTINGS and (short or _STEMS.search(letters) is not None)
    return _Name(letters=letters, secret=secret, headers=letters.endswith("headers"))


_remembered: Callable[[str], _Name] = functools.lru_cache(maxsize=4096)(_judged)
