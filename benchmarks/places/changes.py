"""A hundred things that happen to users of a sandbox: changed, disabled, locked, deleted, made, put into a group."""

from __future__ import annotations

import json
from typing import Any

import httpx

from benchmarks.places.bare import bearer
from benchmarks.places.place import Place

CHANGES = 100
_LOCK = "application/vnd.pingidentity.account.lock+json"


def happen(place: Place, time: int = 0) -> int:
    """Let a hundred things happen, the first time to other users than the second; return how many succeeded."""
    with httpx.Client(base_url=place.base_url, headers=bearer(place), trust_env=False) as http:
        root = f"/v1/environments/{place.environment_id}"
        group, population = (
            http.get(f"{root}/{what}").json()["_embedded"][what][0]["id"] for what in ("groups", "populations")
        )
        done = 0
        for number, user in enumerate(place.user_ids[CHANGES * time : CHANGES * (time + 1)], CHANGES * time):
            method, path, body, kind = (
                ("PATCH", f"/users/{user}", {"title": f"Title {number}"}, "application/json"),
                ("PATCH", f"/users/{user}", {"email": f"new.{number}@example.org"}, "application/json"),
                ("PUT", f"/users/{user}/enabled", {"enabled": False}, "application/json"),
                ("POST", f"/users/{user}", {}, _LOCK),
                ("DELETE", f"/users/{user}", None, "application/json"),
                ("POST", f"/users/{user}/memberOfGroups", {"id": group}, "application/json"),
                ("POST", "/users", _person(number, population), "application/json"),
            )[number % 7]
            content = b"" if body is None else json.dumps(body).encode()
            answer = http.request(method, root + path, content=content, headers={"Content-Type": kind})
            done += answer.is_success
    assert done > CHANGES // 2, f"the sandbox took {done} of {CHANGES} changes"
    return done


def _person(number: int, population: str) -> dict[str, Any]:
    name = f"somebody.new.{number}"
    return {"username": name, "email": f"{name}@example.org", "population": {"id": population}}
