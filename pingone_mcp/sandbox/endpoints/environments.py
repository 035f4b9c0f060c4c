"""Environments, the built-in roles, the worker application, and the audit log."""

from __future__ import annotations

import zlib

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.activities import question
from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.company.roles import BY_ID, BY_NAME, ROLES, BuiltInRole
from pingone_mcp.sandbox.company.sample import SampleEnvironment
from pingone_mcp.sandbox.endpoints.calls import Call, Endpoint
from pingone_mcp.sandbox.errors import Json, invalid, malformed, not_found
from pingone_mcp.sandbox.hal import Reply, envelope, href
from pingone_mcp.sandbox.times import timestamp

_ENVIRONMENTS = scim.language(
    {"name": "sw", "id": "eq", "organization.id": "eq", "license.id": "eq", "status": "eq"}, only_and=True
)
_LINKED = (
    "populations users applications activities branding resources passwordPolicies userActivities signOnPolicies keys templates "
    "notificationsSettings schemas gateways capabilities activeIdentityCounts propagation/plans propagation/stores "
    "propagation/revisions/id:latest billOfMaterials"
).split()


def _body(call: Call, environment: SampleEnvironment) -> Json:
    company = call.world.company
    address = f"{call.address}/environments/{environment.id}"
    organization = f"{call.address}/organizations/{company.organization_id}"
    links = {
        "self": href(address),
        "organization": href(organization),
        "license": href(f"{organization}/licenses/{company.license_id}"),
    }
    return {
        "_links": links | {name: href(f"{address}/{name}") for name in _LINKED},
        "id": environment.id,
        "name": environment.name,
        "description": environment.description,
        "organization": {"id": company.organization_id},
        "type": environment.type,
        "region": "NA",
        "createdAt": timestamp(environment.created),
        "updatedAt": timestamp(environment.created + 75),
        "license": {"id": company.license_id},
    }


def list_environments(call: Call) -> Reply:
    """List the environments the application has a role in."""
    rows = [(at, _body(call, environment)) for at, environment in enumerate(call.world.environments())]
    return call.listed(
        "environments",
        rows,
        spoken=_ENVIRONMENTS,
        cap=5_000,
        value_of=lambda row, path: "ACTIVE" if path == "status" else value_at(row, path),
    )


def read_environment(call: Call) -> Reply:
    """Give one environment."""
    return Reply(200, _body(call, call.state.sample))


def read_capabilities(call: Call) -> Reply:
    """Say what the licence allows here; a small selection."""
    return Reply(200, {"_links": {"self": href(call.here)}, "canUseDirectory": True, "canUseRoles": True})


def read_total_identities(call: Call) -> Reply:
    """Count the users of today; earlier days are not kept."""
    total = call.state.matching(None).count(1)
    rows = [{"date": timestamp(call.world.clock.now())[:10], "totalIdentities": total}]
    spoken = scim.language({"startDate": "eq", "endDate": "eq"}, only_and=True)
    if call.filter(spoken, call.asked("filter")) is None:
        raise invalid("REQUIRED_VALUE", "startDate or endDate is required", "filter")
    return Reply(200, envelope("totalIdentities", rows, {"self": href(call.here)}, count=total, size=1))


# --------------------------------------------------------------------------------------------------------- roles


def _role(call: Call, role: BuiltInRole) -> Json:
    return {"_links": {"self": href(f"{call.address}/roles/{role.id}")}} | role.native()


def list_roles(call: Call) -> Reply:
    """List the built-in roles."""
    rows = [(at, _role(call, role)) for at, role in enumerate(ROLES)]
    spoken = scim.language({"type": "eq"}) if "environment" in call.request.path_params else None
    return call.listed(
        "roles",
        rows,
        spoken=spoken,
        limit_in_self=False,
        cap=1_000,
        value_of=lambda _row, _path: "PLATFORM",
    )


def read_role(call: Call) -> Reply:
    """Give one built-in role."""
    role = BY_ID.get(call.named("role"))
    if role is None:
        raise not_found()
    return Reply(200, _role(call, role))


# ----------------------------------------------------------------------------------------------- the application


def _application(call: Call) -> Json:
    application = call.world.application
    address = f"{call.home}/applications/{application.client_id}"
    return {
        "_links": {"self": href(address), "environment": href(call.home)},
        "environment": {"id": call.state.id},
        "id": application.client_id,
        "name": application.name,
        "enabled": True,
        "type": "WORKER",
        "protocol": "OPENID_CONNECT",
        "createdAt": timestamp(call.state.sample.created),
        "updatedAt": timestamp(call.state.sample.created),
        "grantTypes": ["CLIENT_CREDENTIALS"],
        "tokenEndpointAuthMethod": application.auth_method,
    }


def list_applications(call: Call) -> Reply:
    """List the worker application where it lives; this list carries no `count`."""
    rows = [(0, _application(call))] if call.state.id == call.world.application.environment_id else []
    return call.listed("applications", rows, limit_in_self=False, count=False, value_of=value_at)


def _own(call: Call) -> None:
    application = call.world.application
    if (call.state.id, call.named("application")) != (application.environment_id, application.client_id):
        raise not_found()


def read_application(call: Call) -> Reply:
    """Give the worker application."""
    _own(call)
    return Reply(200, _application(call))


def list_application_roles(call: Call) -> Reply:
    """List the roles the worker application was given."""
    _own(call)
    rows = []
    for at, grant in enumerate(call.world.application.grants):
        id_ = f"{zlib.crc32(repr(grant).encode()):08x}-0000-4000-8000-000000000000"
        row: Json = {
            "_links": {"self": href(f"{call.here}/{id_}")},
            "id": id_,
            "scope": {"id": grant.scope_id, "type": grant.scope},
            "role": {"id": BY_NAME[grant.role].id},
            "environment": {"id": call.state.id},
            "readOnly": False,
        }
        rows.append((at, row))
    return call.listed("roleAssignments", rows, value_of=value_at)


# ------------------------------------------------------------------------------------------------- the audit log


def read_activities(call: Call) -> Reply:
    """Answer a question about the last fourteen days, newest first; there is no `count` and no `size`."""
    anchor, filter_ = call.place()
    return _activities(call, filter_, anchor, call.limit(call.options.max_activities_page))


def ask_activities(call: Call) -> Reply:
    """Answer the same question asked in a body; the next page is a link to be read."""
    body = call.body()
    limit, offset, filter_ = body.get("limit", 100), body.get("offset", 0), body.get("filter")
    if not (isinstance(limit, int) and limit > 0 and isinstance(offset, int) and offset >= 0):
        raise invalid("INVALID_PARAMETER", "must be a number", "limit")
    if filter_ is not None and not isinstance(filter_, str):
        raise malformed("The filter is not a string.")
    return _activities(call, filter_ or "", None, min(limit, call.options.max_activities_page), offset)


def _activities(call: Call, filter_: str, anchor: int | None, limit: int, offset: int = 0) -> Reply:
    node, first, last = question(filter_)
    events = call.state.events_between(first, last)
    numbered = ((call.state.number(event), event) for event in reversed(events))
    found = [
        (number, event)
        for number, event in numbered
        if (anchor is None or number < anchor) and scim.holds(node, event.value)
    ][offset:]
    if call.page.ends is not None:
        found = found[: call.page.ends]
    shown = found[: min(limit, call.page.rows or limit)]
    links: Json = {"self": href(str(call.request.url))}
    if len(found) > len(shown):
        links = call.next_link(shown[-1][0], filter_) | links
    rows = [event.native(f"{call.address}/environments", call.state.id) for _, event in shown]
    return Reply(200, envelope("activities", rows, links))


def read_activity(call: Call) -> Reply:
    """Give one event."""
    event = call.state.event(call.named("activity"))
    if event is None:
        raise not_found()
    return Reply(200, event.native(f"{call.address}/environments", call.state.id))


_HOME = "/v1/environments/{environment}"
_APPLICATION = f"{_HOME}/applications/{{application}}"
ENDPOINTS = (
    Endpoint("GET", "/v1/environments", None, list_environments),
    Endpoint("GET", _HOME, None, read_environment),
    Endpoint("GET", f"{_HOME}/capabilities", None, read_capabilities),
    Endpoint("GET", f"{_HOME}/totalIdentities", "read identities", read_total_identities),
    Endpoint("GET", "/v1/roles", None, list_roles),
    Endpoint("GET", "/v1/roles/{role}", None, read_role),
    Endpoint("GET", f"{_HOME}/roles", None, list_roles),
    Endpoint("GET", f"{_HOME}/roles/{{role}}", None, read_role),
    Endpoint("GET", f"{_HOME}/applications", "read configuration", list_applications),
    Endpoint("GET", _APPLICATION, "read configuration", read_application),
    Endpoint("GET", f"{_APPLICATION}/roleAssignments", "read configuration", list_application_roles),
    Endpoint("GET", f"{_HOME}/activities", "read audit", read_activities),
    Endpoint("POST", f"{_HOME}/activities", "read audit", ask_activities),
    Endpoint("GET", f"{_HOME}/activities/{{activity}}", "read audit", read_activity),
)
