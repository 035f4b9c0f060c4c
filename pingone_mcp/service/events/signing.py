"""The signatures of an event: that of Standard Webhooks, and that of Truto's public contract, by one secret.

Standard Webhooks (its specification, "Signature scheme") signs id, time and body with the bytes that stand in base64
behind `whsec_`; Truto's signs the body alone, with the whole text of the secret as it was shown.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime

from pydantic import SecretStr

from pingone_mcp.control.webhooks import PREFIX


def signatures(body: bytes, secret: SecretStr, *, event_id: str, at: datetime) -> dict[str, str]:
    """Return the headers that sign a body which is sent `at` a time: the same event has other ones at each attempt."""
    text, seconds = secret.get_secret_value(), str(int(at.timestamp()))
    standard = hmac.digest(_key(text), f"{event_id}.{seconds}.".encode() + body, "sha256")
    return {
        "webhook-id": event_id,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{base64.b64encode(standard).decode()}",
        "X-Truto-Signature": f"format=sha256,v={hmac.digest(text.encode(), body, 'sha256').hex()}",
    }


def _key(text: str) -> bytes:
    """Return the bytes of a secret; one without the prefix, as secrets were made before, is itself what signs."""
    if text.startswith(PREFIX):
        try:
            return base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            pass
    return text.encode()
