"""Secrets that PingOne's objects may carry are blanked; what only sounds like one stays."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.pingone.redaction import REDACTED, redacted

SECRET = (
    "secret secrets clientSecret client_secret client-secret CLIENT_SECRET sharedSecret webhookSecret password newPassword "
    "passphrase token accessToken access_token refreshToken idToken apiToken apiKey api-key x-api-key privateKey "
    "signing_key credential credentials otp recoveryCode Authorization"
).split()
HARMLESS = (
    "tokenEndpointAuthMethod passwordPolicy passwordStatus accessTokenValiditySeconds name id key keyId secretary "
    "tokenizer desktop idTokenSignedResponseAlg publicKey username"
).split()


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_blanked_in_every_form(name: str) -> None:
    assert redacted({name: "hunter2"}) == {name: REDACTED}
    assert redacted({"a": [{name: 123456}]}) == {"a": [{name: REDACTED}]}
    assert redacted({name: ["hunter2", ["hunter3"]]}) == {name: [REDACTED, [REDACTED]]}
    assert redacted({name: {"value": "hunter2"}}) == {name: {"value": REDACTED}}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_sounds_like_a_secret_stays(name: str) -> None:
    assert redacted({name: "shown"}) == {name: "shown"}


def test_what_is_no_secret_under_a_secret_name_stays() -> None:
    kept = {"password": {"status": "OK", "environment": {"id": "e"}}, "secret": None, "otp": True, "token": {}}
    assert redacted(kept) == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["password", "name", "value", "apiKeys", "secrets"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_blanking_twice_changes_nothing_and_keeps_the_argument(value: Any) -> None:
    before = repr(value)
    assert redacted(redacted(value)) == redacted(value)
    assert repr(value) == before
