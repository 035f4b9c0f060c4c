"""Where a sandbox is reached: all that a client needs to know, and nothing that it would have to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sandbox is reached, and with what. `user_ids` are those of the first users, at most 1,000."""

    base_url: str
    environment_id: str
    client_id: str
    client_secret: str
    user_ids: tuple[str, ...]

    @staticmethod
    def described(facts: Mapping[str, Any]) -> Place:
        """Return the place of which `asdict` has made these facts, and JSON texts of them and back."""
        return Place(**{**facts, "user_ids": tuple(facts["user_ids"])})

    @property
    def users_url(self) -> str:
        return f"{self.base_url}/v1/environments/{self.environment_id}/users"

    def variables(self, cache: Path) -> dict[str, str]:
        """Return what `pingone-mcp` is configured with to serve this place."""
        return {
            "PINGONE_API_URL": f"{self.base_url}/v1",
            "PINGONE_AUTH_URL": self.base_url,
            "PINGONE_ENVIRONMENT_ID": self.environment_id,
            "PINGONE_CLIENT_ID": self.client_id,
            "PINGONE_CLIENT_SECRET": self.client_secret,
            "PINGONE_CACHE_DIR": str(cache),
        }
