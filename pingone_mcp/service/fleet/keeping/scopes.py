"""What of a directory a connection serves: environments and populations, by name as far as the copy has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import NoReplica, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import JsonValue

    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.replica.asking.snapshot import PlaceState
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet

_ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPlace:
    """An environment or a population that is served. `state` is how an environment stands in the copy."""

    id: str
    name: str | None = None
    state: PlaceState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedScope:
    """What is served: all environments that the credentials see (`is_all`), or these; everybody there, or populations.

    Those of `is_all` are the ones that the copy has. Where it was not looked at (`is_looked_at`), as the connection is
    paused or the copy cannot be read, nothing has a name or a state, and none of `is_all` is known.
    """

    is_all: bool
    is_looked_at: bool
    environments: tuple[ServedPlace, ...]
    populations: tuple[ServedPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copied:
    states: Mapping[str, PlaceState]
    populations: Mapping[str, str | None]


class Scopes:
    """The use case."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def shown(self, caller: Caller, connection: str) -> ServedScope:
        """Return what a connection serves. Raises NoSuchConnection."""
        linked = await self._fleet.find(caller, connection)
        wanted, populations = _texts(linked.settings.get("environments")), _texts(linked.settings.get("populations"))
        looked, is_all = await self._copied(linked), _ALL in wanted
        copied = looked or _Copied(states={}, populations={})
        home = _texts(linked.settings.get("environment_id"))
        named = wanted or home or tuple(copied.states)
        return ServedScope(
            is_all=is_all,
            is_looked_at=looked is not None,
            environments=tuple(_place(one, copied) for one in (copied.states if is_all else named)),
            populations=tuple(ServedPlace(id=one, name=copied.populations.get(one)) for one in populations),
        )

    async def _copied(self, linked: LinkedConnection) -> _Copied | None:
        """Return what the copy has, nothing where there is none yet; None where it was not looked at."""
        if linked.is_paused:
            return None
        with working_for(linked.id):
            try:
                replica = (await (await self._fleet.current(linked)).backend()).replica
                now = replica.now()
                found, _ = await replica.read(lambda copy: (copy.states(now), dict(copy.places.population_names)))
            except NoReplica:
                return _Copied(states={}, populations={})
            except Problem:
                return None
        return _Copied(states={one.id: one for one in found[0]}, populations=found[1])


def _place(identity: str, copied: _Copied) -> ServedPlace:
    state = copied.states.get(identity)
    return ServedPlace(id=identity, name=None if state is None else state.name, state=state)


def _texts(value: JsonValue) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
