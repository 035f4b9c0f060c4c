"""The credential of a request: where it may be, and where it never may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.web.authentication.bearer import holds_credential, without_credentials
from tests.web.authorization_server import claims, encoded, signed, signed_raw
from tests.web.entrance import KEY, bearer, entrance, refusal_in

JWT = signed(claims())
MCP, USERS = "/c/acme/mcp", "/unified/user-directory/users"
HEADER_BYTES = st.binary(max_size=200).map(lambda content: content.replace(b"\r", b"").replace(b"\n", b""))
CLAIM = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.text(max_size=4))
NEAR = st.one_of(
    HEADER_BYTES,
    HEADER_BYTES.map(lambda content: b"Bearer " + content),
    st.text("AZaz09-_.~+/=", max_size=200).map(lambda text: f"Bearer {text}".encode()),
    st.text("AZaz09-_", max_size=60).map(lambda text: f"Bearer pmk_{text}".encode()),
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk"]), CLAIM).map(
        lambda header: f"Bearer {encoded(header)}.{encoded(claims())}.AAAA".encode()
    ),
    st.binary(max_size=60).map(
        lambda content: f"Bearer {encoded({'alg': 'RS256'})}.".encode() + content.hex().encode()
    ),
)


@given(NEAR, st.sampled_from([MCP, USERS]))
async def test_no_text_is_anything_but_a_caller_or_refused(header: bytes, path: str) -> None:
    async with entrance() as gate, gate.client() as client:
        response = await client.post(path, json={}, headers=[(b"Authorization", header)])
        assert response.status_code in (200, 401)
        assert response.status_code == 401 or header.endswith(KEY.encode())
        assert response.headers["www-authenticate"].startswith("Bearer ")
        assert refusal_in(response)["statusCode"] == 401


@given(
    st.dictionaries(
        st.sampled_from(["exp", "nbf", "iat", "sub", "aud", "iss", "scope", "scp", "azp", "typ", "jti"]), CLAIM
    )
)
async def test_no_claims_of_a_signed_token_are_an_error_of_ours(changed: dict[str, object]) -> None:
    async with entrance() as gate, gate.client() as client:
        response = await client.post(USERS, json={}, headers=bearer(signed_raw(**changed)))
        assert response.status_code in (200, 401, 403)


@pytest.mark.parametrize(
    ("headers", "has_token"),
    [
        ([], False),
        ([("Authorization", "Basic YTpi")], False),
        ([("Authorization", "")], False),
        ([("Authorization", f"bearer  {KEY}x")], True),
        ([("Authorization", "Bearer")], True),
        ([("Authorization", f"Bearer {KEY}"), ("Authorization", f"Bearer {KEY}")], True),
        ([("Authorization", f"Bearer {KEY}, Bearer {KEY}")], True),
        ([("Authorization", f"Bearer {'x' * 20_000}")], True),
    ],
)
async def test_a_challenge_names_an_error_only_where_a_token_came(
    headers: list[tuple[str, str]], *, has_token: bool
) -> None:
    async with entrance() as gate, gate.client() as client:
        response = await client.post(MCP, json={}, headers=headers)
        assert response.status_code == 401
        assert ("error=" in response.headers["www-authenticate"]) is has_token


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_is_a_caller(scheme: str) -> None:
    async with entrance() as gate, gate.client() as client:
        response = await client.get(USERS, headers={"Authorization": f"{scheme} {KEY}"})
        assert (response.status_code, response.json()["connections"]) == (200, ["acme"])


@pytest.mark.parametrize(
    "address",
    [
        f"{USERS}?access_token=x",
        f"{USERS}?limit=1&Access_Token=x",
        f"{USERS}?key={KEY}",
        f"{USERS}?q=%70mk_k1_{'s' * 43}",
        f"{USERS}?{KEY}",
        f"{USERS}?token=pat_{'a' * 48}",
        f"{MCP}?token={JWT}",
        f"/c/{KEY}/mcp",
        f"/proxy/{JWT}",
    ],
)
async def test_a_credential_in_a_url_is_refused_however_good_it_is(address: str) -> None:
    async with entrance() as gate, gate.client() as client:
        response = await client.post(address, json={}, headers=bearer(KEY))
        assert response.status_code == 400
        assert refusal_in(response)["code"] == "CREDENTIAL_IN_URL"
        assert KEY not in response.text
        assert JWT not in response.text


@pytest.mark.parametrize(
    "query", ["limit=1", f"link_token=plt_{'a' * 48}", "q=pat_smith", "next_cursor=eyJhIjoxfQ", "email=a.b.c@d"]
)
def test_other_texts_in_a_url_are_no_credentials(query: str) -> None:
    assert not holds_credential(USERS, query)


def test_what_is_logged_of_a_path_holds_no_credential() -> None:
    assert without_credentials(f"/c/{KEY}/mcp") == "/c/[credential]/mcp"


async def test_the_key_of_one_process_is_no_token_of_an_issuer() -> None:
    async with entrance() as gate, gate.client() as client:
        assert (await client.get(USERS, headers=bearer(f"{KEY}x"))).status_code == 401
        assert gate.server.asked == []
