"""The sandbox against what PingOne itself answered and declares; skipped where that material is not at hand."""

from __future__ import annotations

import functools
import json
import os
import re
import textwrap
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import yaml
from jsonschema import Draft4Validator, ValidationError, validators

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.people import FIRST_NOTABLE, NOTABLES
from tests.sandbox.entrance import NOW, enter, walk
from tests.sandbox.webhooks.receiver import body_of

pytestmark = pytest.mark.anyio

REFERENCE = Path(os.environ.get("PINGONE_REFERENCE", Path(__file__).resolve().parents[3] / "shared"))
OPENAPI = REFERENCE / "reference" / "pingone-management-openapi.yaml"
RECORDINGS = REFERENCE / "recordings"

needs_openapi = pytest.mark.skipif(
    not OPENAPI.exists(),
    reason="the OpenAPI file of the management API is not beside this checkout (PINGONE_REFERENCE)",
)
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recorded answers are not beside this checkout (PINGONE_REFERENCE)"
)


UNREAD = {"EntityArray__embedded"}  # it leads to every schema there is; rows are checked one by one instead


@functools.cache
def schemas(*names: str) -> dict[str, Any]:
    """Load the schemas of these names and all they refer to, and nothing else of a file of two megabytes."""
    _, _, text = OPENAPI.read_text(encoding="utf-8").partition("\n  schemas:\n")
    blocks = dict(re.findall(r"^    (\w+):\n((?:^     .*\n|^\n)+)", text, re.MULTILINE))
    found: dict[str, Any] = {name: {} for name in UNREAD}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = yaml.load(textwrap.dedent(blocks[name]), Loader=yaml.SafeLoader)
            waiting += re.findall(r"#/components/schemas/(\w+)", blocks[name])
    return found


def matches_pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[ValidationError]:
    """Check a pattern with `\\p{…}`, which Python does not know: only the characters of this value matter."""
    if not isinstance(value, str):
        return

    def known(match: re.Match[str]) -> str:
        return "".join(re.escape(one) for one in set(value) if unicodedata.category(one).startswith(match[1]))

    if not re.search(re.sub(r"\\p\{(\w+)\}", known, pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern}")


Checked = cast(Any, validators).extend(Draft4Validator, {"pattern": matches_pattern})


def check(name: str, body: dict[str, Any]) -> None:
    document = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas(name)}}
    problems = [
        f"{'/'.join(map(str, problem.absolute_path))}: {problem.message}"
        for problem in Checked(document).iter_errors(body)
    ]
    assert problems == []


EVERY_LIMIT = {
    "maximumPayloadLimit": {"type": "KB_PER_PAYLOAD", "size": 4_096},
    "payloadFormat": {"https": {"format": "JSON_ARRAY", "prettyPrint": True}},
}
LISTS = ("users", "groups", "populations", "roles")


@needs_openapi
async def test_every_answer_keeps_to_the_declared_schema() -> None:
    sandbox = Sandbox(size=60, now=NOW)
    allowed_to_break = {
        sandbox.company.main.people.ids.of(FIRST_NOTABLE + at) for at, one in enumerate(NOTABLES) if one.legacy
    }
    async with enter(sandbox) as client:
        for noun in LISTS:
            page = (await client.get(f"/{noun}?limit=10")).json()
            check("EntityArray", {**page, "_embedded": {}})
            for row in await walk(client, f"/{noun}", noun):
                if row["id"] not in allowed_to_break:
                    check(noun.removesuffix("s").title(), row)
        user_id = sandbox.company.main.notables["locked"]
        check("User", (await client.get(f"/users/{user_id}?include=memberOfGroupIDs&expand=population")).json())
        check("UserEnabled", (await client.get(f"/users/{user_id}/enabled")).json())
        environment = (await client.get(str(client.base_url).rstrip("/"))).json()
        assert environment.pop("region") in schemas("EnumRegionCode")["EnumRegionCode"]["enum"]
        # The declared region is one of "a known code" and "any string", so a known code is both: nothing can be valid.
        del schemas("Environment")["Environment"]["properties"]["region"]
        schemas("Environment")["Environment"]["required"].remove("region")
        check("Environment", environment)
        for row in await walk(client, f"/users/{user_id}/memberOfGroups?expand=group", "groupMemberships"):
            check("GroupMembership", row)
        roles = await walk(client, f"/users/{sandbox.company.main.people.ids.of(1)}/roleAssignments", "roleAssignments")
        assert len(roles) == 2
        for row in roles:
            check("RoleAssignment", row)
        refused = await client.get("/users?filter=nonsense")
        check("P1Error", refused.json())
        made = await client.post("/subscriptions", json=body_of(payloadOptions=EVERY_LIMIT))
        assert made.status_code == 201
        check("Subscription", made.json())
        for row in await walk(client, "/subscriptions", "subscriptions"):
            check("Subscription", row)


@needs_openapi
async def test_the_declared_schema_notices_what_is_wrong() -> None:
    sandbox = Sandbox(size=30, now=NOW)
    user = next(sandbox.users())
    for wrong in (
        {"account": {"status": "OK"}},
        {"lifecycle": {"status": "SLEEPING"}},
        {"name": {"family": "<b>"}},
        {"name": {"given": "a\u200bb"}},
        {"enabled": None},
    ):
        with pytest.raises(AssertionError):
            check("User", user | wrong)


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return found


async def asked(client: httpx.AsyncClient, recording: dict[str, Any], environment_id: str) -> httpx.Response:
    url = httpx.URL(recording["request"]["url"])
    target = re.sub(r"/environments/[^/?]+", f"/environments/{environment_id}", url.raw_path.decode())
    return await client.get(f"https://api.example.net{target}", headers=recording["request"]["headers"])


@needs_recordings
@pytest.mark.parametrize("noun", ["users", "groups"])
async def test_lists_are_written_as_recorded(sandbox: Sandbox, client: httpx.AsyncClient, noun: str) -> None:
    recording = recorded(noun)
    expected = recording["response"]["body"]
    answer = await asked(client, recording, sandbox.environment_id)
    body = answer.json()
    assert [key for key in body if key != "next"] == list(expected)
    assert set(body["_links"]) - {"next"} == set(expected["_links"])
    assert body["_links"]["self"]["href"].endswith(str(answer.request.url.raw_path.decode()))
    for row in body["_embedded"][noun]:
        for model in expected["_embedded"][noun]:
            common = [key for key in model if key in row]
            assert [key for key in row if key in model] == common
            assert list(row["_links"]) == list(model["_links"])
    everything = set().union(*(row for row in body["_embedded"][noun]))
    for model in expected["_embedded"][noun]:
        assert set(model) <= everything
    for header, value in recording["response"]["headers"].items():
        if header in {"content-type", "cache-control", "expires", "pragma"}:
            assert answer.headers[header] == value
    assert {"correlation-id", "x-amzn-requestid", "date"} <= set(answer.headers)


@needs_recordings
async def test_a_plain_user_has_exactly_the_recorded_attributes(client: httpx.AsyncClient) -> None:
    model = recorded("users")["response"]["body"]["_embedded"]["users"][0]
    user = (await client.get("/users?limit=1")).json()["_embedded"]["users"][0]
    assert [key for key in user if key in model] == list(model)
    for part in ("account", "lastSignOn", "lifecycle", "identityProvider", "population", "environment"):
        assert list(user[part]) == list(model[part])


@needs_recordings
async def test_an_environment_is_written_as_recorded(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    recording = recorded("environment")
    body = (await asked(client, recording, sandbox.environment_id)).json()
    assert list(body) == list(recording["response"]["body"])
    assert list(body["_links"]) == list(recording["response"]["body"]["_links"])
