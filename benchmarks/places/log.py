"""The requests that a sandbox has received, by its own log."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from benchmarks.places.place import Place


@dataclass(frozen=True, slots=True)
class Received:
    """One API request: when it came, in seconds since 1970, and the status of its answer."""

    at: float
    status: int


def received(place: Place) -> list[Received]:
    """Return the last API requests, at most 10,000; those for tokens are none."""
    log = httpx.get(f"{place.base_url}/sandbox/log", timeout=30, trust_env=False).json()
    return [
        Received(entry["at"] / 1000, entry["status"]) for entry in log["requests"] if entry["path"].startswith("/v1/")
    ]


def forget(place: Place) -> None:
    """Empty the log."""
    httpx.delete(f"{place.base_url}/sandbox/log", trust_env=False).raise_for_status()
