"""Roles, who holds them, environments, populations, and who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from pingone_mcp.directory.matching.unified import ComparedField
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.answering import Listed, PageReport
from pingone_mcp.service.asking import short_lists
from pingone_mcp.service.asking.short_lists import Choice
from pingone_mcp.service.backend import Backend
from pingone_mcp.web.rest.operation import Asking, RestAnswer, RestOperation
from pingone_mcp.web.rest.parameters import Parameter
from pingone_mcp.web.rest.unified import rows, schemas
from pingone_mcp.web.rest.unified.switches import (
    COPY,
    NO_NATIVE,
    PAGING,
    SHAPING,
    SINGLE_WITHOUT_NATIVE,
    RowShape,
    aliases,
    filters,
    quietly,
)
from pingone_mcp.web.rest.unified.users import wants_copy

_ListAll = Callable[[Backend, Choice, PageReport], Awaitable[Listed]]
_FindOne = Callable[[Backend, str], Awaitable[JsonObject]]
_Show = Callable[[JsonObject], JsonObject]
_OTHER_NAMES = MappingProxyType({"organization": ("organization.id", "organization_id")})
_USER = Parameter(name="user_id", about="Only what this user holds; without it, the local copy tells of all users.")
_ROOT = "/unified/user-directory"


def _as_it_is(row: JsonObject) -> JsonObject:
    return row


def _choice(asking: Asking) -> Choice:
    query = asking.query
    return Choice(
        conditions=query.conditions,
        sorting=query.sorting,
        limit=query.integers["limit"],
        cursor=query.texts.get("next_cursor"),
    )


def _parameters(fields: Mapping[str, ComparedField]) -> tuple[Parameter, ...]:
    """Return what every list of these takes."""
    if not fields:
        return (*PAGING, *SHAPING, *NO_NATIVE)
    sorting = Parameter(
        name="sort_by",
        kind="sorting",
        choices=tuple(fields),
        about="Sort by a field: sort_by[name]=desc.",
        aliases=aliases(fields, _OTHER_NAMES),
    )
    return (*PAGING, *SHAPING, *NO_NATIVE, sorting, *filters(fields, {}, _OTHER_NAMES))


def _list(
    name: str,
    resource: str,
    summary: str,
    *,
    every: _ListAll,
    fields: Mapping[str, ComparedField],
    row: JsonObject,
    show: _Show = _as_it_is,
) -> RestOperation:
    async def answer(asking: Asking) -> RestAnswer:
        shape = RowShape.of(asking.query, row["properties"])
        return shape.list(await every(await asking.backend(), _choice(asking), quietly), show)

    return RestOperation(
        name=name,
        path=f"{_ROOT}/{resource}",
        tag=resource,
        summary=summary,
        parameters=_parameters(fields),
        answer=answer,
        answers=schemas.listed(row),
    )


def _get(
    name: str, resource: str, summary: str, *, find: _FindOne, row: JsonObject, show: _Show = _as_it_is
) -> RestOperation:
    async def answer(asking: Asking) -> RestAnswer:
        shape = RowShape.of(asking.query, row["properties"])
        return shape.single(await find(await asking.backend(), asking.path["id"]), show)

    return RestOperation(
        name=name,
        path=f"{_ROOT}/{resource}/{{id}}",
        tag=resource,
        summary=summary,
        parameters=SINGLE_WITHOUT_NATIVE,
        about_path={"id": "The id."},
        answer=answer,
        answers=row,
    )


async def list_assignments(asking: Asking) -> RestAnswer:
    """Answer who holds which role."""
    shape = RowShape.of(asking.query, schemas.ASSIGNMENT["properties"])
    found = await short_lists.list_assignments(
        await asking.backend(),
        _choice(asking),
        quietly,
        user=asking.query.texts.get(_USER.name),
        copied=wants_copy(asking),
    )
    return shape.list(found, _as_it_is)


OPERATIONS = (
    _list(
        "listRoles",
        "roles",
        "List the administrator roles that there are.",
        every=short_lists.list_roles,
        fields=short_lists.ROLE_FIELDS,
        row=schemas.ROLE,
        show=rows.role,
    ),
    _get("getRole", "roles", "Get one role.", find=short_lists.find_role, row=schemas.ROLE, show=rows.role),
    RestOperation(
        name="listRoleAssignments",
        path=f"{_ROOT}/role_assignments",
        tag="role_assignments",
        summary="List who holds which administrator role over what.",
        parameters=(*_parameters(short_lists.ASSIGNMENT_FIELDS), COPY, _USER),
        answer=list_assignments,
        answers=schemas.listed(schemas.ASSIGNMENT),
    ),
    _list(
        "listOrganizations",
        "organizations",
        "List the environments that are served.",
        every=short_lists.list_organizations,
        fields=short_lists.ORGANIZATION_FIELDS,
        row=schemas.ORGANIZATION,
    ),
    _get(
        "getOrganization",
        "organizations",
        "Get one environment.",
        find=short_lists.find_organization,
        row=schemas.ORGANIZATION,
    ),
    _list(
        "listWorkspaces",
        "workspaces",
        "List the populations that are served.",
        every=short_lists.list_workspaces,
        fields=short_lists.WORKSPACE_FIELDS,
        row=schemas.WORKSPACE,
    ),
    _get("getWorkspace", "workspaces", "Get one population.", find=short_lists.find_workspace, row=schemas.WORKSPACE),
    _list(
        "listMe",
        "me",
        "List who asks: the application that the provider is asked as.",
        every=short_lists.list_myself,
        fields={},
        row=schemas.USER,
    ),
)
