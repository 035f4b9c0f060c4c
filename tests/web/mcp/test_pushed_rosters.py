"""What is pushed over REST is found by its name over MCP: drift and rules need no file on a disk."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import httpx

from tests.web.faces import WholeFace, whole_face
from tests.web.mcp.serving import call, stateless

CSV, TOML = {"Content-Type": "text/csv"}, {"Content-Type": "application/toml"}
BOTH = "application/json, text/event-stream"


async def asked(face: WholeFace, http: httpx.AsyncClient, tool: str, connection: str, **arguments: Any) -> Any:
    """Call a tool over HTTP, as a client without a session does; again while it runs. Returns its whole result."""
    while True:
        message, headers = stateless(call(tool, **arguments))
        answer = await http.post(
            f"/c/{connection}/mcp",
            json=message,
            headers={**headers, "Accept": BOTH, "Content-Type": "application/json"},
        )
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        result = httpx.Response(200, text=lines[-1] if lines else answer.text).json()["result"]
        if (result.get("structuredContent") or {}).get("state") != "running":
            return result


async def test_drift_and_rules_of_what_was_pushed(tmp_path: Path) -> None:
    async with whole_face(tmp_path) as face, face.client() as http:
        acme, globex = face.acme.id, (await face.estate.link("globex")).id
        await asked(face, http, "sync_directory", acme)
        none = await asked(face, http, "check_drift", acme, roster="crm")
        assert "PUT /roster/{name}" in none["content"][0]["text"]

        people = list(face.estate.company("acme").sandbox.users())
        written = io.StringIO()
        rows = csv.writer(written)
        rows.writerow(["email", "status"])
        rows.writerows((one["email"], "active" if one["enabled"] else "disabled") for one in people if one.get("email"))
        rows.writerow(["gone@nowhere.example", "active"])
        of = {"integrated_account_id": acme}
        pushed = await http.put("/roster/crm", params=of, content=written.getvalue(), headers=CSV)
        assert pushed.status_code == 200, pushed.text

        drift = (await asked(face, http, "check_drift", acme, roster="crm"))["structuredContent"]
        assert [one["account"]["email"] for one in drift["missing"]] == ["gone@nowhere.example"]
        described = (await asked(face, http, "describe_directory", acme, topic="rosters"))["structuredContent"]
        assert described["rosters"] == ["crm"]

        rules = '[[rule]]\nrole = "caller"\ngroup = "VPN*"\n'
        assert (await http.put("/role-rules", params=of, content=rules, headers=TOML)).status_code == 200
        roles = (await asked(face, http, "describe_directory", acme, topic="roles"))["structuredContent"]
        assert [one["role"] for one in roles["rules"]] == ["caller"]
        assert "unmapped_groups" in (await asked(face, http, "map_roles", acme))["structuredContent"]

        for tool, arguments in (("check_drift", {"roster": "crm"}), ("map_roles", {})):
            other = await asked(face, http, tool, globex, **arguments)
            assert other["isError"], "another connection has none of it"
        await http.delete("/roster/crm", params=of)
        assert (await asked(face, http, "check_drift", acme, roster="crm"))["isError"]


async def test_a_body_that_is_too_long_is_no_roster(tmp_path: Path) -> None:
    async with whole_face(tmp_path) as face, face.client() as http:
        answer = await http.put(
            "/roster/crm",
            params={"integrated_account_id": face.acme.id},
            content=b"email\n" + b"ann@example.com\n" * 640_000,
            headers=CSV,
        )
        assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
        found = (await http.get("/roster", params={"integrated_account_id": face.acme.id})).json()
        assert found["result"] == []
