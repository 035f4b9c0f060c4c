"""`/unified/user-directory/groups`: lists of groups, and one of them."""

from __future__ import annotations

from types import MappingProxyType

from pingone_mcp.directory.rows import plain
from pingone_mcp.service.asking.selecting import GROUP_FIELDS, find_group, select_groups
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import Parameter
from pingone_mcp.web.rest.unified import rows, schemas
from pingone_mcp.web.rest.unified.switches import (
    COPY,
    NATIVE,
    PAGING,
    SHAPING,
    SINGLE_WITHOUT_NATIVE,
    RowShape,
    filters,
    quietly,
)
from pingone_mcp.web.rest.unified.users import wants_copy

_OTHER_NAMES = MappingProxyType(
    {
        "workspace": ("workspace.id",),
        "organization": ("organization.id", "organization_id"),
    }
)
_ABOUT = MappingProxyType(
    {
        "workspace": "Only groups of the population of this id.",
        "organization": "Only groups of the environment of this id.",
        "group_type": "custom, dynamic or external.",
    }
)
_USER = Parameter(name="user_id", about="Only groups that the user of this id is in, directly or not.")


async def list_groups(asking: Asking) -> RestAnswer:
    """Answer a list of groups."""
    query = asking.query
    shape = RowShape.of(query, schemas.GROUP["properties"])
    found = await select_groups(
        await asking.backend(),
        query.conditions,
        user=query.texts.get(_USER.name),
        remote_data=shape.needs_native,
        copied=wants_copy(asking),
        limit=query.integers["limit"],
        cursor=query.texts.get("next_cursor"),
        report=quietly,
    )
    return shape.list(found.listed, rows.group, age_seconds=found.age_seconds)


async def get_group(asking: Asking) -> RestAnswer:
    """Answer one group, whole."""
    shape = RowShape.of(asking.query, schemas.GROUP["properties"])
    return shape.single(plain(await find_group(await asking.backend(), asking.path["id"])), rows.group)


OPERATIONS = (
    RestOperation(
        name="listGroups",
        path="/unified/user-directory/groups",
        tag="groups",
        summary="List groups, or find them by fields.",
        parameters=(*PAGING, *SHAPING, *NATIVE, COPY, _USER, *filters(GROUP_FIELDS, _ABOUT, _OTHER_NAMES)),
        answer=list_groups,
        answers=schemas.listed(schemas.GROUP),
    ),
    RestOperation(
        name="getGroup",
        path="/unified/user-directory/groups/{id}",
        tag="groups",
        summary="Get one group with its counts and the groups that it is nested in.",
        parameters=SINGLE_WITHOUT_NATIVE,
        about_path={"id": "The group's id; its name will do where only one group has it."},
        answer=get_group,
        answers=schemas.GROUP,
    ),
)
