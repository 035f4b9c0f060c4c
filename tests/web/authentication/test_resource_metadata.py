"""What each endpoint says of itself as an OAuth resource."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pingone_mcp.web.address import PublicAddress
from tests.web.authorization_server import BASE, ISSUER
from tests.web.entrance import Entrance, entrance

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.fixture
async def gate() -> AsyncIterator[Entrance]:
    async with entrance() as made:
        yield made


@pytest.mark.parametrize("path", ["", "/mcp", "/c/acme/mcp", "/c/there-is-none_1/mcp"])
async def test_every_endpoint_that_could_be_has_the_same_document(gate: Entrance, path: str) -> None:
    async with gate.client() as client:
        response = await client.get(f"{WELL_KNOWN}{path}")
    assert response.status_code == 200
    assert response.json() == {
        "resource": f"{BASE}{path}",
        "authorization_servers": [ISSUER],
        "scopes_supported": ["directory.read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "PingOne directory",
    }


@pytest.mark.parametrize(
    "path", ["/c//mcp", "/c/a.b/mcp", "/c/" + "x" * 65 + "/mcp", "/c/acme", "/unified/x", "/c/a%22b/mcp", "//mcp"]
)
async def test_there_is_no_document_of_what_could_not_be(gate: Entrance, path: str) -> None:
    async with gate.client() as client:
        assert (await client.get(f"{WELL_KNOWN}{path}")).status_code == 404


async def test_every_page_may_read_the_documents(gate: Entrance) -> None:
    async with gate.client() as client:
        response = await client.get(f"{WELL_KNOWN}/mcp", headers={"Origin": "https://anywhere.example"})
        preflight = await client.options(
            WELL_KNOWN,
            headers={
                "Origin": "https://anywhere.example",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "mcp-protocol-version",
            },
        )
    assert response.headers["access-control-allow-origin"] == "*"
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "*")


async def test_the_document_of_a_public_url_with_a_path_lies_where_the_challenge_says() -> None:
    address = PublicAddress(f"{BASE}/people")
    async with entrance(address=address) as gate, gate.client(base=BASE) as client:
        response = await client.get(address.metadata("/c/acme/mcp"))
        assert response.json()["resource"] == f"{BASE}/people/c/acme/mcp"


async def test_without_an_authorization_server_none_is_named() -> None:
    async with entrance(has_issuer=False) as gate, gate.client() as client:
        assert "authorization_servers" not in (await client.get(WELL_KNOWN)).json()
