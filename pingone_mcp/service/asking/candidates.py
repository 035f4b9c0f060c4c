"""What may complete an argument while a person types: names of environments, populations and groups, usernames."""

from __future__ import annotations

from collections.abc import Iterable

from pingone_mcp.directory.provider import Directory, GroupQuestion, UserQuestion

_PAGE = 50


async def candidates(
    directory: Directory, argument: str, typed: str, *, environment: str | None = None
) -> tuple[str, ...]:
    """Return candidates for one argument, from one page at most; none for an argument without any.

    Raises Problem for what the directory cannot answer.
    """
    match argument:
        case "environment":
            return _called((place.id, place.name) for place in await directory.environments())
        case "population":
            return _called((place.id, place.name) for place in await directory.populations(environment))
        case "group":
            question = GroupQuestion(query=typed or None, environment=environment)
            groups = await directory.groups(question, page_size=_PAGE)
            return _called((group.id, group.name) for group in groups.items)
        case "user" if typed.strip():
            asked = UserQuestion(query=typed, environment=environment)
            users = await directory.users(asked, page_size=_PAGE)
            return _called((user.id, user.username) for user in users.items)
    return ()


def _called(things: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name or identity for identity, name in things))
