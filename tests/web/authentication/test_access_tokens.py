"""Tokens of an authorization server: the right one is a caller, and each wrong kind is refused with the challenge."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.access_tokens import TokenRules
from tests.web.authorization_server import (
    AT,
    BASE,
    EC_KEY,
    ISSUER,
    NEXT_RSA_KEY,
    PATH,
    base64url,
    claims,
    ec_jwk,
    encoded,
    public_pem,
    rsa_jwk,
    signed,
    signed_raw,
)
from tests.web.entrance import Entrance, bearer, entrance

METADATA = f"{BASE}/.well-known/oauth-protected-resource{PATH}"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def unsigned(content: dict[str, Any]) -> str:
    return f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': 'one'})}.{encoded(content)}."


def signed_with_public_key(content: dict[str, Any]) -> str:
    """Return what PyJWT refuses to make: an HMAC whose secret is the text of the public key."""
    text = f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': 'one'})}.{encoded(content)}"
    return f"{text}.{base64url(hmac.digest(public_pem(), text.encode(), 'sha256'))}"


def tampered() -> str:
    head, _, tail = signed(claims()).split(".")
    return f"{head}.{encoded(claims(sub='eve'))}.{tail}"


@pytest.fixture
async def gate() -> AsyncIterator[Entrance]:
    async with entrance() as made:
        yield made


async def answer(gate: Entrance, token: str, path: str = PATH) -> httpx.Response:
    async with gate.client() as client:
        return await client.post(path, json=PING, headers=bearer(token))


GOOD: dict[str, Callable[[], str]] = {
    "RS256": lambda: signed(claims()),
    "PS256": lambda: signed(claims(), alg="PS256"),
    "ES256": lambda: signed(claims(), alg="ES256", kid="two", key=EC_KEY),
    "typ JWT": lambda: signed(claims(), typ="JWT"),
    "typ in full": lambda: signed(claims(), typ="application/at+JWT"),
    "slash after the audience": lambda: signed(claims(aud=f"{BASE}{PATH}/")),
    "one of several audiences": lambda: signed(claims(aud=["https://other.example.com", f"{BASE}{PATH}"])),
    "scp": lambda: signed(claims(scope=None, scp=["directory.read"])),
    "clock 50 s behind": lambda: signed(claims(nbf=AT + 50, iat=AT + 50)),
    "clock 50 s ahead": lambda: signed(claims(exp=AT - 50)),
    "azp": lambda: signed(claims(client_id=None, azp="desktop")),
    "only key of its kind": lambda: signed(claims(), kid=None),
}
WRONG: dict[str, Callable[[], str]] = {
    "no algorithm": lambda: unsigned(claims()),
    "HMAC with the public key": lambda: signed_with_public_key(claims()),
    "RS512": lambda: signed(claims(), alg="RS512"),
    "ES256 with the id of an RSA key": lambda: signed(claims(), alg="ES256", key=EC_KEY),
    "expired": lambda: signed(claims(exp=AT - 61)),
    "no exp": lambda: signed(claims(exp=None)),
    "exp is a text": lambda: signed_raw(exp="never"),
    "exp is infinite": lambda: signed_raw(exp=float("inf")),
    "not yet": lambda: signed(claims(nbf=AT + 120)),
    "issued in the future": lambda: signed(claims(iat=AT + 120)),
    "no issuer": lambda: signed(claims(iss=None)),
    "another issuer": lambda: signed(claims(iss="https://auth.example.com/other/as")),
    "issuer with a slash": lambda: signed(claims(iss=f"{ISSUER}/")),
    "no audience": lambda: signed(claims(aud=None)),
    "another audience": lambda: signed(claims(aud="https://elsewhere.example.com")),
    "another path's audience": lambda: signed(claims(aud=f"{BASE}/c/beta/mcp")),
    "the whole API's audience": lambda: signed(claims(aud=BASE)),
    "audience in other letters": lambda: signed(claims(aud=f"{BASE}{PATH}".upper())),
    "unknown key": lambda: signed(claims(), kid="three", key=NEXT_RSA_KEY),
    "known id of a key, another key": lambda: signed(claims(), key=NEXT_RSA_KEY),
    "huge": lambda: signed(claims(padding="x" * 20_000)),
    "ID token": lambda: signed(claims(aud="desktop", azp="desktop", nonce="n", scope=None), typ="JWT"),
    "ID token for us too": lambda: signed(
        claims(aud=["desktop", f"{BASE}{PATH}"], azp="desktop", nonce="n", scope=None), typ="JWT"
    ),
    "worker token": lambda: signed(claims(aud=["https://api.pingone.com"], sub=None)),
    "worker token for us too": lambda: signed(claims(aud=["https://api.pingone.eu", f"{BASE}{PATH}"])),
    "refresh token": lambda: signed(claims(typ="Refresh")),
    "logout token": lambda: signed(claims(), typ="logout+jwt"),
    "nobody": lambda: signed(claims(sub=None, client_id=None)),
    "sub is a number": lambda: signed_raw(sub=1),
    "key in the header": lambda: signed(claims(), kid="mine", key=NEXT_RSA_KEY, jwk=rsa_jwk("mine", NEXT_RSA_KEY)),
    "unknown critical header": lambda: signed(claims(), crit=["exotic"], exotic=True),
    "tampered": tampered,
    "no JWT": lambda: "opaque",
    "three dots": lambda: "..",
}


@pytest.mark.parametrize("kind", GOOD)
async def test_a_token_for_this_path_is_a_caller(gate: Entrance, kind: str) -> None:
    response = await answer(gate, GOOD[kind]())
    assert response.status_code == 200
    assert response.json()["principal"] == f"{ISSUER}\0ada\0desktop"
    assert response.json()["permissions"] == ["directory.read"]
    assert response.json()["connections"] == ["acme"]


@pytest.mark.parametrize("kind", WRONG)
async def test_a_token_of_a_wrong_kind_is_refused_with_the_challenge(gate: Entrance, kind: str) -> None:
    token = WRONG[kind]()
    response = await answer(gate, token)
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="invalid_token", error_description="')
    assert challenge.endswith(f'resource_metadata="{METADATA}", scope="directory.read"')
    assert token not in response.text


@pytest.mark.parametrize("name", ["exp", "iss", "aud"])
async def test_a_claim_that_a_token_lacks_is_named(gate: Entrance, name: str) -> None:
    response = await answer(gate, signed(claims(**{name: None})))
    assert f'error_description="The token has no {name}."' in response.headers["www-authenticate"]


async def test_the_sdk_knows_whose_session_it_is(gate: Entrance) -> None:
    response = await answer(gate, signed(claims()))
    assert response.json()["user"] == {
        "token": "",
        "client_id": "desktop",
        "scopes": ["directory.read"],
        "expires_at": int(AT + 300),
        "resource": f"{BASE}{PATH}",
        "subject": "ada",
        "claims": {"iss": ISSUER},
    }


async def test_a_token_without_our_scopes_lacks_a_permission(gate: Entrance) -> None:
    response = await answer(gate, signed(claims(scope="openid profile")))
    assert response.status_code == 403
    assert 'error="insufficient_scope"' in response.headers["www-authenticate"]


async def test_an_audience_of_their_own_choice_is_the_only_one() -> None:
    rules = TokenRules(issuer=ISSUER, audience="https://neutral.example.com/")
    async with entrance(rules) as gate:
        taken = await answer(gate, signed(claims(aud="https://neutral.example.com")))
        assert (taken.status_code, taken.json()["connections"]) == (200, ["default"])
        assert (await answer(gate, signed(claims()))).status_code == 401


async def test_a_worker_token_is_refused_even_where_its_audience_is_configured() -> None:
    async with entrance(TokenRules(issuer=ISSUER, audience="https://api.pingone.com")) as gate:
        assert (await answer(gate, signed(claims(aud="https://api.pingone.com")))).status_code == 401


@pytest.mark.parametrize("marks", [{"at_hash": "x"}, {"typ": "ID"}, {"nonce": "n", "scope": None}, {"scope": None}])
async def test_an_id_token_is_refused_even_where_its_audience_is_configured(marks: dict[str, Any]) -> None:
    async with entrance(TokenRules(issuer=ISSUER, audience="desktop")) as gate:
        assert (await answer(gate, signed(claims(aud="desktop", **marks), typ="JWT"))).status_code == 401


@pytest.mark.parametrize(
    ("named", "path", "reached"),
    [
        ("acme beta", PATH, ["acme"]),
        (["acme", "beta", 7], PATH, ["acme"]),
        (["beta"], PATH, []),
        (None, PATH, []),
        (["acme", "beta"], "/unified/user-directory/users", ["acme", "beta"]),
        (None, "/unified/user-directory/users", []),
    ],
)
async def test_a_claim_says_which_connections_a_token_reaches(named: Any, path: str, reached: list[str]) -> None:
    async with entrance(TokenRules(issuer=ISSUER, connections_claim="directories")) as gate:
        audience = f"{BASE}{PATH}" if path == PATH else BASE
        response = await answer(gate, signed(claims(aud=audience, directories=named)), path)
        assert (response.status_code, response.json()["connections"]) == (200, reached)


async def test_a_token_for_the_whole_api_reaches_the_default_connection_where_no_claim_says_more(
    gate: Entrance,
) -> None:
    response = await answer(gate, signed(claims(aud=BASE)), "/unified/user-directory/users")
    assert response.json()["connections"] == ["default"]


async def test_a_token_for_an_endpoint_is_none_for_the_whole_api(gate: Entrance) -> None:
    assert (await answer(gate, signed(claims()), "/unified/user-directory/users")).status_code == 401


async def test_the_audience_holds_the_path_of_the_public_url() -> None:
    address = PublicAddress(f"{BASE}/people")
    async with entrance(address=address) as gate, gate.client(base=BASE) as client:
        headers = bearer(signed(claims(aud=f"{BASE}/people{PATH}")))
        assert (await client.post(PATH, json=PING, headers=headers)).status_code == 200
        refused = await client.post(PATH, json=PING, headers=bearer(signed(claims())))
        place = f"{BASE}/.well-known/oauth-protected-resource/people{PATH}"
        assert f'resource_metadata="{place}"' in refused.headers["www-authenticate"]


async def test_without_an_authorization_server_no_token_is_good() -> None:
    async with entrance(has_issuer=False) as gate:
        assert (await answer(gate, signed(claims()))).status_code == 401
        assert gate.server.asked == []


async def test_a_key_that_is_too_short_or_for_something_else_signs_nothing(gate: Entrance) -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is to be refused
    gate.server.keys = [
        rsa_jwk("short", short),
        rsa_jwk("for encryption", NEXT_RSA_KEY, use="enc"),
        rsa_jwk("for sealing", NEXT_RSA_KEY, key_ops=["encrypt", "wrapKey"]),
        rsa_jwk("PS256 only", NEXT_RSA_KEY, alg="PS256"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        "no key",  # type: ignore[list-item] # what no server should publish
        ec_jwk("good"),
    ]
    assert (await answer(gate, signed(claims(), alg="PS256", kid="PS256 only", key=NEXT_RSA_KEY))).status_code == 200
    assert (await answer(gate, signed(claims(), alg="ES256", kid="good", key=EC_KEY))).status_code == 200
    for kid in ("for encryption", "for sealing", "PS256 only"):
        assert (await answer(gate, signed(claims(), kid=kid, key=NEXT_RSA_KEY))).status_code == 401
    with pytest.warns(UserWarning, match="below the minimum"):
        made = signed(claims(), kid="short", key=short)
    assert (await answer(gate, made)).status_code == 401
