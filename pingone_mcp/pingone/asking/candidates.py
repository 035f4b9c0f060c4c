"""What may complete an argument while a person types: names of environments, populations and groups, usernames."""

from __future__ import annotations

from collections.abc import Iterable

from pingone_mcp.directory.provider import GroupQuestion, UserQuestion
from pingone_mcp.pingone.asking.groups import Groups
from pingone_mcp.pingone.asking.users import Users
from pingone_mcp.pingone.served import Served

_PAGE = 50


async def candidates(served: Served, argument: str, typed: str, environment: str | None) -> tuple[str, ...]:
    """Return candidates for one argument, from one page of PingOne at most; nothing for an argument without any."""
    match argument:
        case "environment":
            return _called((place.id, place.name) for place in await served.names.environments())
        case "population":
            (first, *_) = await served.environment_ids(environment)
            allowed = served.connection.scope.populations
            places = await served.names.populations(first)
            return _called((place.id, place.name) for place in places if not allowed or place.id in allowed)
        case "group":
            question = GroupQuestion(query=typed or None, environment=environment)
            groups = await Groups(served).page(question, page_size=_PAGE)
            return _called((group.id, group.name) for group in groups.items)
        case "user" if typed.strip():
            users = await Users(served).page(UserQuestion(query=typed, environment=environment), page_size=_PAGE)
            return _called((user.id, user.username) for user in users.items)
    return ()


def _called(things: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name or identity for identity, name in things))
