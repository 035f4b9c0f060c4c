"""Secrets that PingOne's own objects may carry, blanked before they leave."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "[redacted]"
# Names of members whose values are secrets: application secrets, passwords, keys, tokens. Matched on the last
# words of a camelCase or snake_case name, so that `tokenEndpointAuthMethod` and `passwordPolicy` stay.
_SECRET = re.compile(
    r"(?:^|[a-z0-9_-])(?:(?:client|shared|web|app|application|api|user)?secrets?|passwords?|passphrase|"
    r"(?:access|refresh|id|api|auth|bearer)[_-]?tokens?|token|(?:api|private|secret|encryption|signing)[_-]?key|"
    r"credentials?|authorization|otp|recovery[_-]?code)$",
    re.IGNORECASE,
)


def redacted(value: Any) -> Any:
    """Return JSON data in which texts and numbers under a secret-like name are replaced by `[redacted]`.

    So are those in a list under such a name, and the `value` of an object there (`{"password": {"value": …}}`).
    """
    if isinstance(value, dict):
        return {key: _blank(member) if _SECRET.search(str(key)) else redacted(member) for key, member in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def _blank(value: Any) -> Any:
    if isinstance(value, list):
        return [_blank(item) for item in value]
    if isinstance(value, dict):
        return {key: _blank(member) if key == "value" else redacted(member) for key, member in value.items()}
    return REDACTED if _is_scalar(value) else value


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool))
