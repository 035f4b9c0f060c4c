"""Users and groups, chosen by fields of the unified directory: asked of the provider, or of the local copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, get_args
from urllib.parse import quote

from pydantic import TypeAdapter

from pingone_mcp.directory.gaps import Unread
from pingone_mcp.directory.matching.filterable import Filterable, FilterAttribute
from pingone_mcp.directory.matching.filters import Filter, all_of, any_of, eq, ge, le, parse
from pingone_mcp.directory.matching.unified import (
    GROUP,
    ORGANIZATION,
    STATUS,
    WORKSPACE,
    ComparedField,
    FieldCondition,
    Sorting,
    TimeBounds,
    UserSelection,
    bounds_of,
    checked,
    flag,
    holds,
    user_field,
)
from pingone_mcp.directory.models import Group, JsonObject, User
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import GroupQuestion, Include, Status
from pingone_mcp.directory.rows import EVERY_FIELD, choose_fields, plain, user_row, user_row_lacks
from pingone_mcp.errors import NotFound, Refused
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, in_time, listed
from pingone_mcp.service.asking.users import find_user, list_users
from pingone_mcp.service.backend import Backend
from pingone_mcp.tasks import each

_SELECTION = TypeAdapter(UserSelection)
_STATUSES: tuple[Status, ...] = get_args(Status)
_LONGEST_FILTER = 4_000  # characters of a URL, that other parts of it have room too
_GROUPS_AT_ONCE = 25
_NO_SUCH_GROUP = ("UNKNOWN_NAME", "OUTSIDE_CONFIGURATION")

GROUP_FIELDS: Mapping[str, ComparedField] = MappingProxyType(
    {
        "id": ComparedField("id", "id"),
        "name": ComparedField("text", "name"),
        "description": ComparedField("text", "description"),
        "external_id": ComparedField("text", "external_id"),
        "group_type": ComparedField("text", "group_type"),
        ORGANIZATION: ComparedField("id", "organization.id"),
        WORKSPACE: ComparedField("id", "workspace.id"),
        "created_at": ComparedField("time", "created_at"),
        "updated_at": ComparedField("time", "updated_at"),
    }
)


class OnlyCopied(Refused):
    """The provider does not compare a field, or does not sort; the local copy does."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "The local copy does: ask it.", code="ASK_THE_COPY")


# Users, live


async def select_users(
    backend: Backend,
    conditions: Sequence[FieldCondition],
    *,
    sorting: Sorting | None = None,
    filter_: str | None = None,
    include: Sequence[Include] = (),
    remote_data: bool = False,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> Listed:
    """List the users whom the provider finds by conditions; `filter_` is one in its own words, which narrows further.

    Rows have every field. Raises Refused for conditions that make no sense, OnlyCopied for those that the provider
    cannot compare, and Problem where the first page cannot be read.
    """
    if sorting is not None:
        raise OnlyCopied(f"{backend.directory.profile.provider} does not sort users.")
    asking = _Asking(backend.directory.profile.filterable)
    for condition in conditions:
        asking.narrow(condition)
    found = await list_users(
        backend,
        filter_=asking.filter(filter_),
        status=asking.status,
        group=asking.places.get(GROUP),
        population=asking.places.get(WORKSPACE),
        environment=asking.places.get(ORGANIZATION),
        fields=[EVERY_FIELD],
        include=include,
        remote_data=remote_data,
        limit=limit,
        cursor=cursor,
        report=report,
    )
    return found.listed


class _Asking:
    """Conditions on the unified user on their way to what a provider is asked."""

    def __init__(self, filterable: Filterable) -> None:
        self._filterable = filterable
        self._filters: list[Filter] = []
        self._times: dict[str, TimeBounds] = {}
        self.status: Status | None = None
        self.places: dict[str, str] = {}

    def narrow(self, condition: FieldCondition) -> None:
        """Take one more condition. Raises Refused, OnlyCopied where the provider does not compare so."""
        known = user_field(condition.field)
        checked(condition, known)
        if condition.field == STATUS:
            self._narrow_status(condition)
        elif condition.field in (GROUP, WORKSPACE, ORGANIZATION) and len(condition.values) == 1:
            if self.places.setdefault(condition.field, condition.values[0]) != condition.values[0]:
                raise Refused(f"`{condition.field}` is given twice.", "Compare it once.", code="WRONG_FILTER")
        else:
            self._narrow_by_attribute(condition, known)

    def filter(self, other: str | None) -> str | None:
        """Return everything that is compared by filters, and another filter, as the text of one."""
        parsed = parse(other) if other is not None else None
        whole = all_of((*self._filters, parsed))
        text = str(whole) if whole is not None else None
        if text is not None and len(quote(text, safe="")) > _LONGEST_FILTER:
            raise OnlyCopied("These are more values than fit into one question to the provider.")
        return text

    def _narrow_status(self, condition: FieldCondition) -> None:
        if len(condition.values) > 1 or self.status is not None:
            raise OnlyCopied("The provider is asked for one status at a time.")
        wanted = condition.values[0].casefold()
        if wanted == "deleted":
            raise OnlyCopied("Deleted users are in no list of the provider.")
        self.status = next((one for one in _STATUSES if one == wanted), None)
        if self.status is None:
            raise Refused(f"`{STATUS}` is one of {', '.join((*_STATUSES, 'deleted'))}.", code="WRONG_FILTER")

    def _narrow_by_attribute(self, condition: FieldCondition, known: ComparedField) -> None:
        name, attribute = self._attribute(condition.field, known)
        if known.kind == "time":
            bounds = bounds_of(condition) if condition.comparison != "in" else None
            if bounds is None or not {"ge", "le"} <= {*attribute.operators}:
                raise self._not_compared(condition.field)
            self._filters += [ge(name, bounds.least)] if bounds.least is not None else []
            self._filters += [le(name, bounds.most)] if bounds.most is not None else []
        elif "eq" not in attribute.operators:
            raise self._not_compared(condition.field)
        elif attribute.kind == "flag":
            self._filters.append(eq(name, flag(condition)))
        else:
            self._filters.append(any_of(eq(name, value) for value in condition.values))

    def _attribute(self, field: str, known: ComparedField) -> tuple[str, FilterAttribute]:
        """Return the provider's attribute that holds a field."""
        documented = {**self._filterable.attributes, **self._filterable.configured}
        held = {one.held_in: (name, one) for name, one in documented.items()}
        path = "address." + known.path if f"address.{known.path}" in held else known.path
        if path in held:
            return held[path]
        _, is_custom, attribute = known.path.partition("custom_attributes.")
        if is_custom and self._filterable.custom_operators:
            return attribute, FilterAttribute(self._filterable.custom_operators, known.path)
        raise self._not_compared(field)

    def _not_compared(self, field: str) -> OnlyCopied:
        return OnlyCopied(f"{self._filterable.provider} does not compare users by `{field}` so.")


# Users, copied


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedList:
    """A list out of the local copy, which is so many seconds old (None: it was asked of the provider after all)."""

    listed: Listed
    age_seconds: int | None


async def select_copied_users(
    backend: Backend,
    conditions: Sequence[FieldCondition],
    *,
    sorting: Sorting | None = None,
    remote_data: bool = False,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> CopiedList:
    """List the users of the local copy whom conditions choose, with the groups and roles that are in it.

    Rows have every field; of removed users (`status` deleted) what was last known. Raises Refused, and NoReplica.
    """
    for condition in conditions:
        checked(condition, user_field(condition.field))
    selected = {
        "conditions": _as_json(conditions),
        "sorting": dataclasses.asdict(sorting) if sorting is not None else None,
        "remote_data": remote_data or None,
    }
    wanted = asked(backend, "selected users", selected, cursor)
    question = _SELECTION.validate_python(wanted.question)
    columns = choose_fields([EVERY_FIELD], several_organizations=True)
    columns += ("remote_data",) if question.remote_data else ()

    ages: list[int] = []

    async def read(at: Position | None) -> Page[User]:
        page, state = await backend.replica.selected(question, at, page_size=limit)
        ages.append(state.age_seconds)
        return page

    listing = Listing(read=read, row=lambda user: user_row(user, columns), identify=lambda user, _: user.id)
    gathered = await collect(backend, listing, wanted, limit=limit, report=report)
    lacks = partial(user_row_lacks, fields=columns)
    return CopiedList(listed=listed(backend, wanted, gathered, lacks=lacks), age_seconds=ages[-1])


def _as_json(conditions: Sequence[FieldCondition]) -> list[JsonObject]:
    return [
        {"field": one.field, "comparison": one.comparison, "values": list(one.values)}
        for one in sorted(conditions, key=lambda one: (one.field, one.comparison, one.values))
    ]


# Groups


async def select_groups(
    backend: Backend,
    conditions: Sequence[FieldCondition],
    *,
    user: str | None = None,
    remote_data: bool = False,
    copied: bool = False,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> CopiedList:
    """List the groups that conditions choose, whole; with `user`, those that this user is in, directly or not.

    The local copy answers where it is asked for (`copied`) and holds them. Raises Refused for arguments, NoReplica, and
    Problem where the first page cannot be read.
    """
    for condition in conditions:
        checked(condition, GROUP_FIELDS[condition.field])
    selected: Mapping[str, Any] = {
        "conditions": _as_json(conditions),
        "user": user,
        "remote_data": remote_data or None,
        "copied": copied or None,
    }
    wanted = asked(backend, "selected groups", selected, cursor)
    conditions = [FieldCondition(**one) for one in wanted.question.get("conditions", ())]
    remote_data, copied = bool(wanted.question.get("remote_data")), bool(wanted.question.get("copied"))
    user = wanted.question.get("user")
    question, others = _group_question(conditions, remote_data=remote_data and not copied)
    source = dataclasses.replace(backend, directory=backend.copy) if copied else backend
    age = (await backend.copy.provenance(question)).age_seconds if copied else None

    async def every(at: Position | None) -> Page[Group]:
        return await source.directory.groups(question, at, page_size=None if others else limit)

    reading = every if user is None else _GroupsOf(source, user, limit).page

    async def read(at: Position | None) -> Page[JsonObject]:
        return _kept(await reading(at), plain, conditions if user is not None else others)

    gathered = await collect(backend, _rows(read), wanted, limit=limit, report=report)
    return CopiedList(listed=listed(backend, wanted, gathered, lacks=lambda row: "parents" not in row), age_seconds=age)


async def find_group(backend: Backend, reference: str) -> Group:
    """Return the group that an id or a name means, whole. Raises NotFound, and Refused where several are meant."""
    try:
        with in_time(backend):
            return await backend.directory.group(reference)
    except Refused as refused:
        if refused.code not in _NO_SUCH_GROUP:
            raise
        raise NotFound("There is no such group in what is served.", code="NOT_FOUND") from None


def _group_question(
    conditions: Sequence[FieldCondition], *, remote_data: bool
) -> tuple[GroupQuestion, list[FieldCondition]]:
    """Return what the directory is asked, and the conditions that its groups are compared with afterwards."""
    places: dict[str, str] = {}
    others: list[FieldCondition] = []
    query: str | None = None
    for condition in conditions:
        is_one = condition.comparison == "eq" and condition.field not in places
        if is_one and condition.field in (ORGANIZATION, WORKSPACE):
            places[condition.field] = condition.values[0]
            continue
        if is_one and condition.field == "name":  # all words of a name are in it: fewer groups to compare
            query = condition.values[0]
        others.append(condition)
    question = GroupQuestion(
        query=query, environment=places.get(ORGANIZATION), population=places.get(WORKSPACE), remote_data=remote_data
    )
    return question, others


def _kept(page: Page[Any], row: Callable[[Any], JsonObject], conditions: Sequence[FieldCondition]) -> Page[JsonObject]:
    """Return a page as rows, those for which all conditions hold."""
    rows = [row(item) for item in page.items]
    if not conditions:
        return dataclasses.replace(page, items=tuple(rows))
    kept = (one for one in rows if holds(one, conditions, GROUP_FIELDS))
    return dataclasses.replace(page, items=tuple(kept), total=None)


def _rows(read: Callable[[Position | None], Awaitable[Page[JsonObject]]]) -> Listing[JsonObject]:
    return Listing(read=read, row=lambda row: row, identify=lambda row, _: str(row["id"]))


class _GroupsOf:
    """The groups that a user is in, some at a time, in the order of their ids."""

    def __init__(self, backend: Backend, user: str, limit: int) -> None:
        self._backend = backend
        self._user = user
        self._size = min(limit, _GROUPS_AT_ONCE)
        self._ids: list[str] | None = None
        self._unread = False

    async def page(self, at: Position | None) -> Page[Group]:
        if self._ids is None:
            user = await find_user(self._backend, self._user)
            self._ids = sorted({one.id for one in user.groups or ()})
            self._unread = user.groups is None or "groups" in user.unreadable
        after = at.after or "" if at is not None else ""
        left = [identity for identity in self._ids if identity > after]
        here, more = left[: self._size], len(left) > self._size
        found = [one for one in await each(self._group, here) if one is not None]
        return Page(
            items=tuple(found),
            at=at or Position(),
            next=Position(after=here[-1]) if more else None,
            scanned=len(here),
            total=None if self._unread or len(found) < len(here) else len(self._ids),
            about=len(self._ids),
            gaps=(Unread(what="groups of this user"),) if self._unread else (),
        )

    async def _group(self, identity: str) -> Group | None:
        try:
            return await self._backend.directory.group(identity)
        except (NotFound, Refused):  # it went meanwhile, or belongs to a population that is not served
            return None
