"""One secret, two signatures: consumers that were written elsewhere find both to be right."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from pingone_mcp.control.webhooks import new_secret
from pingone_mcp.service.events.signing import signatures


def is_of_truto(body: bytes, header: str, secret: str) -> bool:
    """Check a signature as Truto's documentation says: HMAC-SHA256 of the raw body, by the text of the secret."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    if parts["format"] != "sha256":
        return False
    return hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), parts["v"])


@given(st.dictionaries(st.text(), st.text()), st.uuids())
def test_both_signatures_are_right_by_the_same_secret(payload: dict[str, str], event: object) -> None:
    secret, body = new_secret(), json.dumps(payload).encode()
    headers = signatures(body, secret, event_id=str(event), at=datetime.now(UTC))
    shown = secret.get_secret_value()
    assert Webhook(shown).verify(body, headers) == payload
    assert is_of_truto(body, headers["X-Truto-Signature"], shown)
    assert headers["webhook-id"] == str(event)


def test_another_body_secret_or_id_is_found_out() -> None:
    secret, body = new_secret(), b'{"a":1}'
    headers = signatures(body, secret, event_id="e1", at=datetime.now(UTC))
    shown, other = secret.get_secret_value(), new_secret().get_secret_value()
    for who, what, how in (
        (shown, b'{"a":2}', headers),
        (other, body, headers),
        (shown, body, {**headers, "webhook-id": "e2"}),
        (shown, body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(who).verify(what, how)
    assert not is_of_truto(b'{"a":2}', headers["X-Truto-Signature"], shown)
    assert not is_of_truto(body, headers["X-Truto-Signature"], other)


@pytest.mark.parametrize("text", ["6f1f8f8e-3d5a-4f0e-9f0a-6c1f2b7d9e10", "whsec_no base64!"])
def test_a_secret_of_another_form_signs_by_its_text(text: str) -> None:
    headers = signatures(b"{}", SecretStr(text), event_id="e1", at=datetime.now(UTC))
    assert Webhook(text.encode()).verify(b"{}", headers) == {}
    assert is_of_truto(b"{}", headers["X-Truto-Signature"], text)
