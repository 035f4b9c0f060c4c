"""Secrets that PingOne's objects may carry are blanked; what only sounds like one stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.pingone.redaction import REDACTED, redacted, redacted_text, secrets_of
from tests.pingone import specifications

SECRET = (
    "secret secrets clientSecret client_secret client-secret CLIENT_SECRET sharedSecret webhookSecret password newPassword "
    "passphrase token accessToken access_token refreshToken idToken apiToken apiKey api-key x-api-key privateKey "
    "signing_key credential credentials otp recoveryCode Authorization pass pwd passcode seed keyUri decryptionKeys "
    "pairing_code verificationCode sessionToken Cookie"
).split()
HARMLESS = (
    "tokenEndpointAuthMethod passwordPolicy passwordStatus accessTokenValiditySeconds name id key keyId secretary "
    "tokenizer desktop idTokenSignedResponseAlg publicKey username bypass compass code seedling keyUrl zipCode"
).split()


# Every property of the three specifications whose name sounds like a secret, decided one by one (2026-06). A text or
# number under these is one.
SECRETS_OF_PINGONE = (
    "ACCESS_TOKEN API_KEY API_SECRET Administrator_Password BASIC_AUTH_PASSWORD CLIENT_SECRET ClientSecret "
    "OAUTH_ACCESS_TOKEN OAUTH_CLIENT_SECRET OAUTH_REFRESH_TOKEN appSecret appsecret authToken bindPassword browsertoken "
    "clientSecret clientSecretSigningKey credential decryptionKey defaultSharedSecret googleServiceAccountCredentials "
    "password privateKey secret secretKey serviceAccountCredentials serviceAccountPassword sharedSecret token "
    "verificationKey"
).split()
# These hold switches, links, lists or objects: no text of theirs is lost. Of `apiKey` only its `value` is the secret.
NO_TEXTS = (
    "allowCredentials allowDynamicAuthorization allowEmailOtp allowSmsOtp allowTotp allowVoiceOtp apiKey canUseCredentials "
    "canUseDynamicAuthorization canUseEmailOtp canUseMfaVoiceOtp canUseOATHToken canUseSmsOtp canUseTotp "
    "canUseWhatsAppOtp credentials davinciApplication.rotateSecret deviceAuthorization idToken oathToken otp "
    "pushCredentials suppressVerificationCode"
).split()
# A secret in the answers of some paths (`code`, `key`), or a map of them (`headers`): tested on their own below.
BY_PLACE = ["code", "headers", "key"]
# These stay: names of policies, methods, endpoints and durations; ids; public keys, certificates, DNS records.
ORDINARY_OF_PINGONE = (
    "AUTHENTICATION_METHOD AUTHORIZATION_TYPE BASIC_AUTH_USER DEFAULT_AUTH_METHOD OAUTH_ACCOUNT_ID OAUTH_CLIENT_ID "
    "OAUTH_TOKEN_REQUEST OAUTH_TOKEN_URL OAUTH_URL TOTP accessTokenValiditySeconds "
    "additionalRefreshTokenReplayProtectionEnabled allowPasswordChanges allowPasswordManagement "
    "allowPasswordManagementNotifications allowPasswordOnlyAuthentication allowPasswordPolicy allowedAuthenticators "
    "assertionConsumerService assertionDuration assertionEncrypted assertionSigned authentication authenticationMethod "
    "authenticator authenticatorAttachment authnRequestSigned authorizationEndpoint authorize canAuthenticate "
    "canSendPasswordManagementNotifications canUseCredentialSharingDetection canUseCredentialsPushNotifications "
    "canUseEditNotificationTemplate canUsePasswordManagement canUsePasswordOnlyAuthentication canUsePasswordPolicy "
    "canUseYubikey certificate certificates countryCode countryCodeLabel credentialsView currentKeyId "
    "davinciApplication.rotateKey defaultCountryCode deviceAuthenticationPolicies deviceAuthenticationPolicy "
    "deviceAuthenticationPolicyId discoverableCredentials enableAlwaysAcceptAcsUrlInSignedAuthnRequest "
    "enableRequestedAuthnContext enforceDuringAuthentication errorCode intermediateCertificates "
    "introspectEndpointAuthMethod ipPairingConfiguration jwks jwksEndpoint jwksUrl keyId keyLength keyRotationPolicies "
    "keyRotationPolicy keys labelPasswordVerify mdsAuthenticatorsRequirements minutesToRetainPreviousCredentials "
    "nextKeyId oauth otherOptionKey otpInput otpLength pairing pairingDisabled pairingKeyFormat pairingKeyLifetime "
    "passUserContext passcodeGracePeriod passcodeRefreshDuration passwordAuthority passwordAutoCompleteEnabled "
    "passwordPolicies passwordPolicy pollChallengeStatus postalCode previousSuccessfulAuthenticationIp "
    "previousSuccessfulAuthenticationTime promptForNicknameOnPairing publicKeyCredentialHints recovery "
    "refreshTokenDuration refreshTokenRollingDuration refreshTokenRollingGracePeriodDuration refreshTokenType "
    "requireAuthenticationToInitiate requireMsgAuth residentKeyRequirement rlgAuthnRps rlgAuthnStartRps rlgAuthzBulkRps "
    "rlgAuthzRps rlgTokenCheckRps securityKey shortKey showPasswordRequirements signatureAlgorithm siteKey spJwksOpenid "
    "spjwksUrl tlsClientAuthKeyPair tokenEndpoint tokenEndpointAuthMethod tokens totp "
    "updateUserOnSuccessfulAuthentication validateTlsCertificates verifyTlsCertificates yubikey"
).split()
SOUNDS_LIKE_A_SECRET = re.compile(
    "pass|secret|token|key|credential|otp|seed|pair|pin$|code|private|cert|auth|hash|salt|signature|headers|jwk|jwt|"
    "challenge|assertion|cookie|bearer|recovery|pkcs",
    re.IGNORECASE,
)


def test_every_property_that_sounds_like_a_secret_was_decided(shared: Path) -> None:
    names = {name for name in specifications.property_names(shared) if SOUNDS_LIKE_A_SECRET.search(name)}
    assert names == {*SECRETS_OF_PINGONE, *NO_TEXTS, *BY_PLACE, *ORDINARY_OF_PINGONE}


@pytest.mark.parametrize("name", SECRETS_OF_PINGONE)
def test_a_secret_of_pingones_objects_is_blanked(name: str) -> None:
    for value in ("hunter2", 123456, {"value": "hunter2"}, ["hunter2"]):
        assert "hunter2" not in str(redacted({"a": {name: value}}))
        assert "123456" not in str(redacted({"a": {name: value}}))


@pytest.mark.parametrize("name", ORDINARY_OF_PINGONE)
def test_an_ordinary_property_of_pingones_objects_stays(name: str) -> None:
    kept = {name: "shown", "more": [{name: 7}, {name: {"id": "x", "status": "OK"}}, {name: ["a"]}]}
    assert redacted(kept) == kept


@pytest.mark.parametrize("name", NO_TEXTS)
def test_switches_links_and_objects_stay_under_any_name(name: str) -> None:
    for value in (True, False, None, {"enabled": True, "id": "x"}, {"href": "y"}, [{"id": "z", "lastUsedAt": "now"}]):
        assert redacted({name: value}) == {name: value}


def test_headers_that_people_chose_are_blanked() -> None:
    headers = {"Authorization": "Basic aHVudGVy", "X-Anything": "hunter2", "Content-Type": "application/json"}
    blanked = {"Authorization": REDACTED, "X-Anything": REDACTED, "Content-Type": "application/json"}
    assert redacted({"httpEndpoint": {"headers": headers}}) == {"httpEndpoint": {"headers": blanked}}
    pairs = [{"name": "Authorization", "value": "hunter2"}, {"key": "x-api-key", "value": "hunter2"}]
    assert "hunter2" not in str(redacted({"headers": pairs}))
    assert redacted({"headers": "shown"}) == {"headers": "shown"}


def test_a_value_beside_the_name_or_type_of_a_secret_is_blanked() -> None:
    assert redacted({"name": "clientSecret", "value": "hunter2"}) == {"name": "clientSecret", "value": REDACTED}
    assert redacted({"name": "x", "dataType": "secret", "value": "hunter2"})["value"] == REDACTED
    kept = [{"name": "colour", "dataType": "string", "value": "red"}, {"name": "password", "type": "TEXT"}]
    assert redacted(kept) == kept


def test_some_words_are_secrets_in_some_places() -> None:
    assert secrets_of(["environments", "e", "users", "u", "pairingKeys", "k"]) == {"code"}
    assert secrets_of(["environments", "e", "languages"]) == frozenset()
    assert redacted({"code": "1234", "a": [{"code": 5}]}, also={"code"}) == {
        "code": REDACTED,
        "a": [{"code": REDACTED}],
    }


def test_private_keys_are_blanked_in_any_text_and_certificates_stay() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY-----"
    certificate = "-----BEGIN CERTIFICATE-----\nMIIshown\n-----END CERTIFICATE-----"
    assert redacted({"notes": f"{certificate}\n{key}"}) == {"notes": f"{certificate}\n{REDACTED}"}
    assert redacted_text(key[:40]) == REDACTED
    assert redacted_text("scan otpauth://totp/x?secret=hunter2 now") == f"scan {REDACTED} now"


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


def test_a_place_is_known_however_it_is_written() -> None:
    assert secrets_of(["users", "%70airingKeys", "x"]) == secrets_of(["pairingKeys"]) != frozenset()
