"""`/unified/user-directory/users`: lists of users, live or out of the local copy, and one of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import get_args

from pingone_mcp.directory.matching.unified import SORTED_BY, USER_FIELDS
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.provider import Include
from pingone_mcp.directory.rows import plain
from pingone_mcp.errors import Refused
from pingone_mcp.service.asking.selecting import select_copied_users, select_users
from pingone_mcp.service.asking.shown_user import shown_user
from pingone_mcp.service.asking.users import find_user
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import WRONG_PARAMETER, Parameter
from pingone_mcp.web.rest.unified import schemas
from pingone_mcp.web.rest.unified.switches import (
    COPY,
    NATIVE,
    PAGING,
    SHAPING,
    SINGLE,
    RowShape,
    aliases,
    filters,
    quietly,
)

_INCLUDES: tuple[Include, ...] = get_args(Include)
_OTHER_NAMES = MappingProxyType(
    {
        "email": ("emails", "emails.email"),
        "phone": ("phones", "phones.number"),
        "group": ("group.id", "groups", "groups.id"),
        "workspace": ("workspace.id", "workspaces", "workspaces.id"),
        "organization": ("organization.id", "organization_id", "organizations", "organizations.id"),
        "manager": ("manager.reference",),
    }
)
_ABOUT = MappingProxyType(
    {
        "email": "Only who has this primary address.",
        "group": "Only members, direct or not, of the group of this id.",
        "workspace": "Only users of the population of this id.",
        "organization": "Only users of the environment of this id.",
        "status": "active, inactive or invited; with `truto_super_query` also deleted.",
        "manager": "Only who has this manager, as the provider holds it; needs `truto_super_query`.",
    }
)
_FILTERS = (
    *filters(USER_FIELDS, _ABOUT, _OTHER_NAMES),
    Parameter(
        name="custom_attributes",
        kind="filter",
        is_open=True,
        comparisons=("eq", "in"),
        about="Only whose attribute of this name has this text: custom_attributes[badge]=4711.",
    ),
)
_SORTING = Parameter(
    name="sort_by",
    kind="sorting",
    choices=SORTED_BY,
    about="Sort by a field: sort_by=name, or sort_by[created_at]=desc; needs `truto_super_query`.",
    aliases=aliases(SORTED_BY, _OTHER_NAMES),
)
_INCLUDE = Parameter(
    name="include",
    kind="list",
    choices=_INCLUDES,
    about="Add groups or roles to the rows of a live list, which is slow; the local copy adds what it has.",
)
_REMOTE_QUERY = Parameter(
    name="remote_query",
    kind="members",
    choices=("filter",),
    about="Passed on to the provider: remote_query[filter] is a filter in its own words, which narrows further.",
)


async def list_users(asking: Asking) -> RestAnswer:
    """Answer a list of users."""
    query = asking.query
    shape = RowShape.of(query, schemas.USER["properties"])
    backend = await asking.backend()
    limit, cursor = query.integers["limit"], query.texts.get("next_cursor")
    include: list[Include] = [one for one in _INCLUDES if one in query.lists.get(_INCLUDE.name, ())]
    filter_ = query.members.get(_REMOTE_QUERY.name, {}).get("filter")
    if not wants_copy(asking):
        found = await select_users(
            backend,
            query.conditions,
            sorting=query.sorting,
            filter_=filter_,
            include=include,
            remote_data=shape.needs_native,
            limit=limit,
            cursor=cursor,
            report=quietly,
        )
        return shape.list(found, shown_user)
    if filter_ is not None:
        raise Refused(
            "`remote_query` asks the provider, and `truto_super_query` the local copy.",
            "Leave out one of them.",
            code=WRONG_PARAMETER,
        )
    copied = await select_copied_users(
        backend,
        query.conditions,
        sorting=query.sorting,
        remote_data=shape.needs_native,
        limit=limit,
        cursor=cursor,
        report=quietly,
    )
    return shape.list(copied.listed, shown_user, age_seconds=copied.age_seconds)


async def get_user(asking: Asking) -> RestAnswer:
    """Answer one user, whole."""
    shape = RowShape.of(asking.query, schemas.USER["properties"])
    user = await find_user(await asking.backend(), asking.path["id"], remote_data=shape.needs_native)
    row: JsonObject = plain(user)
    return shape.single(row, shown_user)


def wants_copy(asking: Asking) -> bool:
    """Say whether a request asks the local copy."""
    return asking.query.texts.get(COPY.name, "false") != "false"


OPERATIONS = (
    RestOperation(
        name="listUsers",
        path="/unified/user-directory/users",
        tag="users",
        summary="List users, or find them by fields. Rows of a live list lack groups and roles, which one user has.",
        parameters=(*PAGING, *SHAPING, *NATIVE, COPY, _SORTING, _INCLUDE, _REMOTE_QUERY, *_FILTERS),
        answer=list_users,
        answers=schemas.listed(schemas.USER),
    ),
    RestOperation(
        name="getUser",
        path="/unified/user-directory/users/{id}",
        tag="users",
        summary="Get one user with groups, roles and manager.",
        parameters=SINGLE,
        about_path={"id": "The user's id; a username, an address or an external id will do."},
        answer=get_user,
        answers=schemas.USER,
    ),
)
