"""Secrets that PingOne's objects may carry are blanked; what only sounds like one stays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.pingone.proxy.redaction import REDACTED, redacted, redacted_text
from tests.pingone import specifications

SECRET = (
    "secret secrets clientSecret client_secret client-secret CLIENT_SECRET sharedSecret webhookSecret password newPassword "
    "passphrase token accessToken access_token refreshToken idToken apiToken apiKey api-key x-api-key privateKey "
    "signing_key credential credentials otp recoveryCode Authorization pass pwd passcode seed keyUri decryptionKeys "
    "pairing_code verificationCode sessionToken Cookie secretAccessKey accessKey secretValue passwordHash tokens jwt "
    "recoveryCodes hmacKey privateKeyPem secret_2 password1 API_KEY_V2 clientsecret dbpassword myPaSsWoRd userPIN "
    "client.secret Proxy-Authorization authorizationCode bearer connectionString clientAssertion userPass pass\u00adword "
    "to\u200bken \uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44 p\xe4ssword preSharedKey signingKeys salt "
    "appKey client_key consumerKey aes-key backupKey recoveryKey unlockKey sasKey keyMaterial keytab mnemonic "
    "recoveryPhrase securityAnswer challengeAnswers code_verifier totpUri otpauthUrl"
).split()
HARMLESS = (
    "tokenEndpointAuthMethod passwordPolicy passwordStatus accessTokenValiditySeconds name id key keyId secretary "
    "tokenizer desktop idTokenSignedResponseAlg publicKey username bypass compass code seedling keyUrl zipCode kid "
    "signingKeyId token_endpoint_auth_method PASSWORD-POLICY monkey spinner pinned accessKeyboard errorCode cookiecutter"
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
# These hold switches or objects, of which ids, links, times, constants and measures stay.
NO_TEXTS = (
    "additionalRefreshTokenReplayProtectionEnabled allowCredentials allowDynamicAuthorization allowEmailOtp "
    "allowPasswordChanges allowPasswordManagement allowPasswordManagementNotifications "
    "allowPasswordOnlyAuthentication allowPasswordPolicy allowSmsOtp allowVoiceOtp apiKey "
    "canSendPasswordManagementNotifications canUseCredentialSharingDetection canUseCredentials "
    "canUseCredentialsPushNotifications canUseDynamicAuthorization canUseEmailOtp canUseMfaVoiceOtp canUseOATHToken "
    "canUsePasswordManagement canUsePasswordOnlyAuthentication canUsePasswordPolicy canUseSmsOtp canUseWhatsAppOtp "
    "credentials davinciApplication.rotateSecret idToken oathToken otp passwordAutoCompleteEnabled pushCredentials "
    "pwd showPasswordRequirements suppressVerificationCode"
).split()
# A secret in the answers of some paths (`code`, `key`), or of all but some (`tokens`), or a map of them (`headers`):
# tested on their own below.
BY_PLACE = ["code", "headers", "key", "tokens"]
# These stay: names of policies, methods, endpoints and durations; ids; public keys, certificates, DNS records.
ORDINARY_OF_PINGONE = (
    "AUTHENTICATION_METHOD AUTHORIZATION_TYPE BASIC_AUTH_USER DEFAULT_AUTH_METHOD OAUTH_ACCOUNT_ID OAUTH_CLIENT_ID "
    "OAUTH_TOKEN_REQUEST OAUTH_TOKEN_URL OAUTH_URL TOTP accessTokenValiditySeconds allowTotp allowedAuthenticators "
    "assertionConsumerService assertionDuration assertionEncrypted assertionSigned authentication "
    "authenticationMethod authenticator authenticatorAttachment authnRequestSigned authorizationEndpoint authorize "
    "canAuthenticate canUseEditNotificationTemplate canUseTotp canUseYubikey certificate certificates countryCode "
    "countryCodeLabel credentialsView currentKeyId davinciApplication.rotateKey defaultCountryCode "
    "deviceAuthenticationPolicies deviceAuthenticationPolicy deviceAuthenticationPolicyId deviceAuthorization "
    "discoverableCredentials enableAlwaysAcceptAcsUrlInSignedAuthnRequest enableRequestedAuthnContext "
    "enforceDuringAuthentication errorCode intermediateCertificates introspectEndpointAuthMethod "
    "ipPairingConfiguration jwks jwksEndpoint jwksUrl keyId keyLength keyRotationPolicies keyRotationPolicy keys "
    "labelPasswordVerify mdsAuthenticatorsRequirements minutesToRetainPreviousCredentials nextKeyId oauth "
    "otherOptionKey otpInput otpLength pairing pairingDisabled pairingKeyFormat pairingKeyLifetime passUserContext "
    "passcodeGracePeriod passcodeRefreshDuration passwordAuthority passwordPolicies passwordPolicy "
    "pollChallengeStatus postalCode previousSuccessfulAuthenticationIp previousSuccessfulAuthenticationTime "
    "promptForNicknameOnPairing publicKeyCredentialHints recovery refreshTokenDuration refreshTokenRollingDuration "
    "refreshTokenRollingGracePeriodDuration refreshTokenType requireAuthenticationToInitiate requireMsgAuth "
    "residentKeyRequirement rlgAuthnRps rlgAuthnStartRps rlgAuthzBulkRps rlgAuthzRps rlgTokenCheckRps securityKey "
    "shortKey signatureAlgorithm siteKey spJwksOpenid spjwksUrl tlsClientAuthKeyPair tokenEndpoint "
    "tokenEndpointAuthMethod totp updateUserOnSuccessfulAuthentication validateTlsCertificates verifyTlsCertificates "
    "yubikey"
).split()
SOUNDS_LIKE_A_SECRET = re.compile(
    "pass|secret|token|key|credential|otp|seed|pair|pin$|code|private|cert|auth|hash|salt|signature|headers|jwk|jwt|"
    "challenge|assertion|cookie|bearer|recovery|pkcs|pwd",
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


ID = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"


@pytest.mark.parametrize("name", NO_TEXTS)
def test_switches_links_and_measures_stay_under_any_name(name: str) -> None:
    for value in (
        True,
        False,
        None,
        {"enabled": True, "id": ID, "type": "FCM_HTTP_V1"},
        {"href": f"https://api.example.com/v1/things/{ID}"},
        [{"id": ID, "lastUsedAt": "2026-06-15T12:00:00.000Z"}],
        {"failure": {"count": 3, "coolDown": {"duration": 2, "timeUnit": "MINUTES"}}},
    ):
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
    for members in (
        {"Name": "password", "Value": "hunter2"},
        {"name": "Authorization", "values": ["hunter2", {"a": "hunter2"}]},
        {"key": "apiToken", "defaultValue": "hunter2", "value": 7},
        {"dataType": "SECRET", "VALUE": "hunter2"},
    ):
        assert "hunter2" not in str(redacted(members)), members
    kept = [{"name": "colour", "dataType": "string", "value": "red"}, {"name": "password", "type": "TEXT"}]
    assert redacted(kept) == kept


def test_headers_are_blanked_however_they_are_written() -> None:
    for name in ("headers", "httpHeaders", "http_headers", "requestHeaders"):
        for headers in (
            {"X-Anything": "hunter2"},
            [{"name": "X-Anything", "value": "hunter2"}],
            [{"key": "X-Anything", "value": "hunter2"}],
            ["X-Anything: hunter2"],
            "X-Anything: hunter2\nX-More: hunter2",
        ):
            assert "hunter2" not in str(redacted({name: headers}))
            assert "X-Anything" in str(redacted({name: headers}))
        assert redacted({name: ["Accept: */*"]}) == {name: ["Accept: */*"]}
        assert redacted({name: [{"name": "Accept", "value": "*/*"}]}) == {name: [{"name": "Accept", "value": "*/*"}]}


def test_the_private_half_of_a_json_web_key_is_blanked_and_the_public_half_stays() -> None:
    public = {"kty": "RSA", "kid": "a", "use": "sig", "alg": "RS256", "n": "shown", "e": "AQAB", "x5c": ["shown"]}
    private = dict.fromkeys(("d", "p", "q", "dp", "dq", "qi", "k"), "hunter2") | {"oth": [{"r": "hunter2"}]}
    blanked = redacted({"jwks": {"keys": [public | private]}})
    assert "hunter2" not in str(blanked)
    assert blanked["jwks"]["keys"][0].items() >= public.items()
    assert redacted({"d": "shown", "k": 1}) == {"d": "shown", "k": 1}


def test_everything_below_the_name_of_a_secret_is_blanked_but_what_pingone_keeps_there() -> None:
    for name in ("password", "secret", "credentials", "otp"):
        secret = {name: {"hash": "hunter2", "a": [{"b": {"id": "hunter2", "type": "hunter2"}}], "n": 123456}}
        assert "hunter2" not in str(redacted(secret))
        assert "123456" not in str(redacted(secret))
    disguised = {
        "id": "hunter2hunter2",
        "status": "hunter2",
        "href": "https://a.example/?k=hunter2",
        "madeAt": "hunter2",
    }
    assert redacted({"secret": disguised}) == {"secret": dict.fromkeys(disguised, REDACTED)}


def test_some_words_are_secrets_in_some_places() -> None:
    known = {"code": "1234", "a": [{"code": 5, "key": "shown"}]}
    for place in ("pairingKeys", "PairingKeys", "%70airingKeys"):
        blanked = {"code": REDACTED, "a": [{"code": REDACTED, "key": "shown"}]}
        assert redacted(known, at=["environments", "e", "users", "u", place, "k"]) == blanked
    assert redacted(known, at=["environments", "e", "languages"]) == redacted(known) == known
    assert redacted({"value": "hunter2"}, at=["users", "u", "password"]) == {"value": REDACTED}
    records = {"regions": [{"name": "us", "tokens": [{"key": "a._domainkey", "value": "a.dkim.example.com"}]}]}
    assert redacted(records, at=["environments", "e", "emailDomains", "d", "dkim"]) == records
    assert "dkim" not in str(redacted(records))


def test_private_keys_are_blanked_in_any_text_and_certificates_stay() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY-----"
    certificate = "-----BEGIN CERTIFICATE-----\nMIIshown\n-----END CERTIFICATE-----"
    assert redacted({"notes": f"{certificate}\n{key}"}) == {"notes": f"{certificate}\n{REDACTED}"}
    assert redacted_text(key[:40]) == REDACTED
    for scheme in ("otpauth://totp/x?secret=hunter2", "otpauth-migration://offline?data=hunter2", "OTPAUTH://x"):
        assert redacted_text(f"scan {scheme} now") == f"scan {REDACTED} now"


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
    kept = {"password": {"status": "OK", "environment": {"id": ID}}, "secret": None, "otp": True, "token": {}}
    assert redacted(kept) == kept


WORDS = st.sampled_from(
    "secret secrets password passphrase token tokens credential jwt otp pin api_key access_key private_key hmac_key "
    "recovery_code".split()
).map(lambda words: words.split("_"))
OTHER_WORDS = st.lists(st.sampled_from(["my", "user", "value", "hash", "new", "x", "two", "pem"]), max_size=2)
JOINS = ["-", "_", ".", " ", "--", "2_", "\u200b_", "\xad-", "camel", "Pascal", "SHOUT_"]


def spelled(words: list[str], join: str) -> str:
    match join:
        case "camel":
            return words[0] + "".join(map(str.capitalize, words[1:]))
        case "Pascal":
            return "".join(map(str.capitalize, words))
        case "SHOUT_":
            return "_".join(map(str.upper, words))
        case _:
            return join.join(words)


@given(OTHER_WORDS, WORDS, OTHER_WORDS, st.sampled_from(JOINS))
def test_a_secret_is_known_by_its_words_in_any_spelling(
    before: list[str], word: list[str], behind: list[str], join: str
) -> None:
    name = spelled([*before, *word, *behind], join)
    assert redacted({name: "hunter2", "a": [{name: {"b": ["hunter2", 7]}}]}) == {
        name: REDACTED,
        "a": [{name: {"b": [REDACTED, REDACTED]}}],
    }


@given(WORDS, st.sampled_from(["\u200b", "\u2060", "\xad", "\u202e", "\ufe0f", "\U000e0041"]), st.data())
def test_what_nobody_sees_in_a_name_hides_no_secret(word: list[str], hidden: str, data: st.DataObject) -> None:
    name = "_".join(word)
    place = data.draw(st.integers(0, len(name)))
    assert "hunter2" not in str(redacted({name[:place] + hidden + name[place:]: "hunter2"}))


@pytest.mark.parametrize("join", ["-", "_", "camel", "Pascal", "SHOUT_"])
def test_an_ordinary_name_stays_in_any_spelling(join: str) -> None:
    for name in ORDINARY_OF_PINGONE:
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
        other = spelled([word.lower() for word in words], join)
        assert redacted({other: "shown"}) == {other: "shown"}


def test_a_name_of_any_length_is_judged() -> None:
    long = "x" * 100_000 + "_password"
    assert redacted({long: "hunter2"}) == {long: REDACTED}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["password", "name", "value", "apiKeys", "secrets", "headers", "kty", "d", "id", "type"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_blanking_twice_changes_nothing_and_keeps_the_argument(value: Any) -> None:
    before = repr(value)
    assert redacted(redacted(value)) == redacted(value)
    assert repr(value) == before
