"""A state folder with many connections in it and a key that reaches them, made without asking any provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.places.place import Place
from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.service.callers import Permission
from pingone_mcp.settings.linked import kept, read_linked


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A state folder: its connections by their ids, and a key that reaches all of them."""

    folder: Path
    connections: tuple[str, ...]
    key: str

    @property
    def place(self) -> ControlPlace:
        return ControlPlace(folder=self.folder)


async def prepare(
    folder: Path,
    place: Place,
    number: int,
    *,
    permissions: tuple[Permission, ...] = ("directory.read",),
    more: Mapping[str, str] | None = None,
) -> Prepared:
    """Link a place so many times, each for a tenant of its own, as `connect` leaves it behind.

    The key has these permissions, and the connections have some `more` settings.
    """
    values = {
        "api_url": f"{place.base_url}/v1",
        "auth_url": place.base_url,
        "environment_id": place.environment_id,
        "client_id": place.client_id,
        "client_secret": place.client_secret,
        **(more or {}),
    }
    settings, secrets = kept(read_linked(values))
    async with open_control(ControlPlace(folder=folder)) as control:
        async with control.transaction():
            linked = [
                await control.connections.add(
                    name=f"tenant {one}",
                    tenant=f"tenant-{one}",
                    settings=settings,
                    credentials=secrets,
                    status="active",
                )
                for one in range(number)
            ]
        made = await control.api_keys.create(name="bench", permissions=permissions)
    return Prepared(folder=folder, connections=tuple(one.id for one in linked), key=made.text.get_secret_value())
