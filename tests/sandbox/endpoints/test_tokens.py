from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.endpoints.tokens import AuthMethod
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import enter

pytestmark = pytest.mark.anyio


async def ask(sandbox: Sandbox, path: str | None = None, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(transport=sandbox.transport(), base_url="https://auth.example.net") as client:
        request.setdefault("data", {"grant_type": "client_credentials"})
        return await client.post(path or f"/{sandbox.environment_id}/as/token", **request)


def credentials(sandbox: Sandbox, method: AuthMethod, secret: str | None = None) -> dict[str, Any]:
    secret = secret or sandbox.client_secret
    if method == "CLIENT_SECRET_BASIC":
        return {"auth": (sandbox.client_id, secret)}
    data = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "client_secret": secret}
    return {"data": data}


@pytest.mark.parametrize("method", ["CLIENT_SECRET_BASIC", "CLIENT_SECRET_POST"])
@pytest.mark.parametrize("custom_domain", [False, True])
async def test_each_auth_method_gets_a_token_for_an_hour(method: AuthMethod, custom_domain: bool) -> None:
    sandbox = Sandbox(size=10, auth_method=method)
    answer = await ask(sandbox, "/as/token" if custom_domain else None, **credentials(sandbox, method))
    assert answer.status_code == 200
    body = answer.json()
    assert (body.pop("access_token").count("."), body) == (2, {"token_type": "Bearer", "expires_in": 3600})
    assert sandbox.token_requests == 1


async def test_the_token_carries_the_observed_claims(sandbox: Sandbox) -> None:
    answer = await ask(sandbox, **credentials(sandbox, "CLIENT_SECRET_BASIC"))
    head, body, _ = (part + "=" * (-len(part) % 4) for part in answer.json()["access_token"].split("."))
    claims = json.loads(base64.urlsafe_b64decode(body))
    assert sorted(claims) == ["aud", "client_id", "env", "exp", "iat", "iss", "jti", "org", "p1.rid"]
    assert claims["exp"] - claims["iat"] == 3600
    assert (claims["env"], claims["client_id"]) == (sandbox.environment_id, sandbox.client_id)
    assert claims["p1.rid"] == claims["jti"]
    assert sorted(json.loads(base64.urlsafe_b64decode(head))) == ["alg", "kid", "x5t"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("CLIENT_SECRET_BASIC", "CLIENT_SECRET_POST"), ("CLIENT_SECRET_POST", "CLIENT_SECRET_BASIC")],
)
async def test_the_other_auth_method_is_refused(right: AuthMethod, wrong: AuthMethod) -> None:
    sandbox = Sandbox(size=10, auth_method=right)
    answer = await ask(sandbox, **credentials(sandbox, wrong))
    assert answer.status_code == 401
    assert "Unsupported authentication method" in answer.json()["error_description"]


@pytest.mark.parametrize("status", [401, 400])
async def test_wrong_credentials_get_the_oauth_error_shape(status: int) -> None:
    sandbox = Sandbox(size=10, options=Options(token_failure_status=status))
    answer = await ask(sandbox, **credentials(sandbox, "CLIENT_SECRET_BASIC", "wrong"))
    assert answer.status_code == status
    assert answer.json() == {
        "error": "invalid_client",
        "error_description": "Request denied: Invalid client credentials "
        f"(Correlation ID: {answer.headers['correlation-id']})",
    }


async def test_a_missing_or_foreign_grant_type_is_refused(sandbox: Sandbox) -> None:
    known = credentials(sandbox, "CLIENT_SECRET_BASIC")
    assert (await ask(sandbox, data={}, **known)).json()["error"] == "invalid_request"
    password = await ask(sandbox, data={"grant_type": "password"}, **known)
    assert (password.status_code, password.json()["error"]) == (400, "unsupported_grant_type")


async def test_the_application_is_unknown_in_another_environment(sandbox: Sandbox) -> None:
    other = sandbox.company.environments[1].id
    answer = await ask(sandbox, f"/{other}/as/token", **credentials(sandbox, "CLIENT_SECRET_BASIC"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic Zm9v"])
async def test_no_good_token_is_answered_as_recorded(
    sandbox: Sandbox, client: httpx.AsyncClient, authorization: str | None
) -> None:
    client.headers.pop("authorization")
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await client.get("/users", headers=headers)
    body = answer.json()
    assert answer.status_code == 401
    assert len(body.pop("id")) == 36
    assert body == {
        "code": "ACCESS_FAILED",
        "message": "The request could not be completed. You do not have access to this resource.",
        "details": [
            {
                "code": "INVALID_TOKEN",
                "target": "Authentication Credentials",
                "message": "The authorization token is either missing or invalid, or it has expired.",
            }
        ],
    }


async def test_a_token_expires_after_its_time(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    sandbox.clock.advance(3_599)
    assert (await client.get("/users?limit=1")).status_code == 200
    sandbox.clock.advance(2)
    assert (await client.get("/users?limit=1")).status_code == 401


async def test_neither_secret_nor_token_is_logged(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    await client.get("/users?limit=1")
    told = repr(sandbox.requests)
    assert sandbox.client_secret not in told
    assert client.headers["authorization"].removeprefix("Bearer ") not in told
    assert [one.status for one in sandbox.requests] == [200, 200]


async def test_without_the_role_the_answer_is_403(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    span = 'recordedAt ge "2026-06-10T00:00:00Z" and recordedAt le "2026-06-15T00:00:00Z"'
    assert (await client.get("/activities", params={"filter": span})).status_code == 200
    sandbox.withdraw("Configuration Read Only", "Environment Admin")
    refused = await client.get("/activities", params={"filter": span})
    assert (refused.status_code, refused.json()["code"]) == (403, "ACCESS_FAILED")
    assert refused.json()["details"][0]["code"] == "INSUFFICIENT_PERMISSIONS"
    assert (await client.get("/users?limit=1")).status_code == 200
    sandbox.withdraw()
    sandbox.grant("Identity Data Read Only")
    assert (await client.get("/users?limit=1")).status_code == 200
    assert (await client.post("/users", json={})).status_code == 403


@pytest.mark.parametrize("status", [403, 404])
async def test_an_unknown_environment_is_refused(status: int) -> None:
    sandbox = Sandbox(size=10, options=Options(unknown_environment_status=status))
    async with enter(sandbox) as client:
        answer = await client.get("https://api.example.net/v1/environments/11111111-2222-4333-8444-555555555555/users")
    assert answer.status_code == status


async def test_a_worker_of_one_population_sees_only_that_one(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    contractors = sandbox.state().contractors()
    stranger = next(user for user in sandbox.users() if user["population"]["id"] != contractors)
    sandbox.withdraw()
    sandbox.grant("Identity Data Read Only", "POPULATION", contractors)
    page = (await client.get("/users")).json()
    expected = [user["id"] for user in sandbox.users() if user["population"]["id"] == contractors]
    assert [user["id"] for user in page["_embedded"]["users"]] == expected
    assert page["count"] == len(expected)
    assert (await client.get(f"/users/{stranger['id']}")).status_code == 403
    listed = (await client.get("/populations")).json()["_embedded"]["populations"]
    assert [one["id"] for one in listed] == [contractors]


async def test_only_environments_with_a_role_are_listed(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    address = "https://api.example.net/v1/environments"
    assert (await client.get(address)).json()["count"] == 2
    sandbox.withdraw()
    sandbox.grant("Identity Data Read Only", "ENVIRONMENT", sandbox.environment_id)
    listed = (await client.get(address)).json()
    assert [one["id"] for one in listed["_embedded"]["environments"]] == [sandbox.environment_id]
    other = sandbox.company.environments[1].id
    assert (await client.get(f"{address}/{other}/users")).status_code == 403
