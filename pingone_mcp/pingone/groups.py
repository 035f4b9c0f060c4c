"""Groups of PingOne: lists of them, one of them whole, and who is in them."""

from __future__ import annotations

import dataclasses

from pingone_mcp.directory.models import Group, Member, MembershipType, Named, Page
from pingone_mcp.directory.provider import GroupQuestion, MemberQuestion
from pingone_mcp.directory.text import unaccented
from pingone_mcp.errors import NotPermitted
from pingone_mcp.pingone import wire
from pingone_mcp.pingone.client import path_with
from pingone_mcp.pingone.filters import All, Within, all_of, eq
from pingone_mcp.pingone.parts import Part, find, following, gaps_at, position, trusted_total
from pingone_mcp.pingone.served import Served


class Groups:
    """Answer questions about groups."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def page(
        self, question: GroupQuestion, at: str | None = None, *, page_size: int | None = None
    ) -> Page[Group]:
        parts = await self._parts(question)
        part, link = find(parts, at)
        wanted = str(part.filter) if part.filter is not None else None
        size = part.page_size(page_size, self._served.connection.page_size)
        path = link or path_with(f"/environments/{part.environment}/groups", {"limit": size, "filter": wanted})
        hal, gap = await self._served.page_or_gap(path, "groups", part, parts, followed=link is not None)
        gaps = tuple(dict.fromkeys((*gaps_at(at), *gap)))
        populations = await self._served.names.population_names(part.environment) if hal.items else {}
        groups = [
            await self._placed(wire.group(raw, populations=populations, remote_data=question.remote_data))
            for raw in hal.items
        ]
        return Page(
            items=tuple(group for group in groups if part.keep is None or part.keep(group)),
            at=position(part, path, gaps_at(at)),
            next=following(parts, part, hal.next, gaps),
            scanned=len(hal.items),
            total=trusted_total(part, link, hal) if len(parts) == 1 and part.keep is None else None,
            about=hal.count if len(parts) == 1 else None,
            gaps=gaps,
        )

    async def _parts(self, question: GroupQuestion) -> list[Part]:
        """PingOne filters groups by whole names only; a part of a name is looked for here."""
        words = unaccented(question.query or "").split()
        allowed = self._served.connection.populations

        async def parts_of(environment: str) -> list[Part]:
            names = self._served.names
            reference = question.population
            inside = eq("population.id", await names.find_population(environment, reference)) if reference else None
            return [
                Part(
                    key=environment,
                    environment=environment,
                    source="groups",
                    filter=inside,
                    keep=(lambda group: _is_named(group, words) and self._serves(group)) if words or allowed else None,
                )
            ]

        return await self._served.in_each(await self._served.environment_ids(question.environment), parts_of)

    def _serves(self, group: Group) -> bool:
        """Say whether a group may be shown: one of the environment as a whole may, though its members may not."""
        allowed = self._served.connection.populations
        return not allowed or group.workspace is None or group.workspace.id in allowed

    async def _placed(self, group: Group) -> Group:
        if self._served.connection.populations and group.workspace is None:
            group = dataclasses.replace(group, member_count=None, group_count=None)
        if not self._served.several_environments():
            return group
        names = await self._served.names.environment_names()
        place = group.organization.id
        return dataclasses.replace(group, organization=Named(id=place, name=names.get(place)))

    async def get(self, reference: str, *, environment: str | None = None) -> Group:
        place, identity = await self._served.find_group(environment, reference)
        group = await self._served.names.group(place, identity)
        names = await self._served.names.environment_names()
        path = f"/environments/{place}/groups/{identity}/memberOfGroups"
        try:
            parents = tuple([wire.membership(raw) async for raw in self._served.all(path, "groupMemberships", place)])
        except NotPermitted:
            parents = None
        if self._served.connection.populations and group.workspace is None:  # the counts would go beyond them
            group = dataclasses.replace(group, member_count=None, group_count=None, total_member_count=None)
        return dataclasses.replace(group, organization=Named(id=place, name=names.get(place)), parents=parents)

    # Members

    async def members(
        self, question: MemberQuestion, at: str | None = None, *, page_size: int | None = None
    ) -> Page[Member]:
        place, group = await self._served.find_group(question.environment, question.group)
        parts = await self._member_parts(place, group, direct_only=question.direct_only)
        part, link = find(parts, at)
        path = link or self._served.users_path(part, part.page_size(page_size, self._served.connection.page_size))
        hal = await self._served.page(path, "users", part, followed=link is not None)
        users = await self._served.users(part.environment, hal, remote_data=False)
        kind: MembershipType = "direct" if part.label == "direct" else "indirect"
        return Page(
            items=tuple(Member(user=user, type=kind) for user in users),
            at=position(part, path),
            next=following(parts, part, hal.next),
            scanned=len(hal.items),
            total=trusted_total(part, link, hal) if len(parts) == 1 else await self._member_total(place, group),
            about=hal.count if len(parts) == 1 else None,
        )

    async def _member_parts(self, environment: str, group: str, *, direct_only: bool) -> list[Part]:
        """Direct members come first, then indirect ones; PingOne tells them apart in the filter only."""
        populations = await self._served.population_filters(environment, None)
        return [
            Part(
                key=f"{kind} {environment} {batch}",
                environment=environment,
                filter=all_of((Within("memberOfGroups", All((eq("id", group), eq("type", kind.upper())))), population)),
                label=kind,
            )
            for kind in (("direct",) if direct_only else ("direct", "indirect"))
            for batch, population in enumerate(populations)
        ]

    async def _member_total(self, environment: str, group: str) -> int | None:
        """Return the group's own total, unless only some populations are served."""
        if self._served.connection.populations:
            return None
        return (await self._served.names.group(environment, group)).total_member_count


def _is_named(group: Group, words: list[str]) -> bool:
    name = unaccented(group.name or "")
    return all(word in name for word in words)
