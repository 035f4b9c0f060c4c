"""Events as PingOne writes them, about people of a company."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

from pingone_mcp.sandbox.app import Sandbox


def event(sandbox: Sandbox, user: str, action: str = "USER.UPDATED", **changes: Any) -> dict[str, Any]:
    environment = changes.pop("environment", sandbox.environment_id)
    resource = {
        "type": "USER",
        "id": user,
        "environment": {"id": environment},
        "href": f"https://api.example.com/v1/environments/{environment}/users/{user}",
    }
    return {
        "id": str(uuid.uuid4()),
        "recordedAt": "2026-06-15T12:00:00.000Z",
        "action": {"type": action},
        "resources": [resource],
        "result": {"status": "SUCCESS"},
        **changes,
    }


def sent(*events: dict[str, Any] | str) -> bytes:
    return json.dumps(list(events)).encode()


def lines(events: Iterable[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in events)
