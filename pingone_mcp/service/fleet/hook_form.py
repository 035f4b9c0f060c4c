"""What a person enters at a provider, so that it sends its events here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlace:
    """Where deliveries come to, `is_public` where somebody has said so, and which events are worth sending.

    `is_reachable` where that is an address of the kind that providers send to.
    """

    base: str = "http://127.0.0.1:8080"
    is_public: bool = False
    is_reachable: bool = False
    action_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HookForm:
    """The URL, the headers (each of them secret) and the action types of one connection's hook."""

    url: str
    headers: Mapping[str, SecretStr]
    action_types: tuple[str, ...]
    is_public: bool


async def hook_form(control: ControlData, place: HookPlace, connection: str, *, rotate: bool = False) -> HookForm:
    """Return what is to be entered for a connection, with another secret than before where that is wanted.

    Raises LookupError for a connection that there is not.
    """
    secret = await control.hook_secrets.get(connection, rotate=rotate)
    return HookForm(
        url=place.base + path_of(connection),
        headers=header_of(secret),
        action_types=place.action_types,
        is_public=place.is_public,
    )


def path_of(connection: str) -> str:
    """Return the path of a connection's hook."""
    return f"/hooks/pingone/{connection}"


def header_of(secret: SecretStr) -> dict[str, SecretStr]:
    """Return the header with which deliveries show the secret of a hook."""
    return {"Authorization": SecretStr(f"Bearer {secret.get_secret_value()}")}
