"""The endpoints under `/environments/{environment}/populations`."""

from __future__ import annotations

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.company.people import value_at
from pingone_mcp.sandbox.endpoints.calls import Call, Endpoint
from pingone_mcp.sandbox.errors import Json, invalid, not_found, not_permitted, not_unique
from pingone_mcp.sandbox.hal import Reply, href
from pingone_mcp.sandbox.times import timestamp

_LANGUAGE = scim.language({"id": "eq", "name": "eq sw"})


def population_body(call: Call, record: Json) -> Json:
    """Write a population with its links and its number of users."""
    address = f"{call.home}/populations/{record['id']}"
    links = {"self": href(address), "environment": href(call.home)}
    count = call.state.user_count(record["id"])
    if call.options.user_counts_narrowed:
        count = call.matching(scim.AttributeCondition("population.id", "eq", record["id"])).count(1)
    return {"_links": links} | record | {"userCount": count}


def _find(call: Call) -> Json:
    record = call.state.populations.get(call.named("population"))
    if record is None:
        raise not_found()
    if not _visible(call, record):
        raise not_found() if call.options.unreachable_population_status == 404 else not_permitted()
    return record


def _visible(call: Call, record: Json) -> bool:
    return call.options.unreachable_populations_listed or call.reaches(record["id"])


def list_populations(call: Call) -> Reply:
    """List the populations, oldest first."""
    rows = [
        (at, population_body(call, record))
        for at, record in enumerate(call.state.populations.values())
        if _visible(call, record)
    ]
    return call.listed("populations", rows, spoken=_LANGUAGE, value_of=value_at)


def read_population(call: Call) -> Reply:
    """Give one population."""
    return Reply(200, population_body(call, _find(call)))


def _written(call: Call, existing: str | None) -> Json:
    body = call.body()
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise invalid("REQUIRED_VALUE", "must not be empty", "name")
    for record in call.state.populations.values():
        if record["name"].lower() == name.lower() and record["id"] != existing:
            raise not_unique("name", record["id"])
    texts = {key: body[key] for key in ("description", "preferredLanguage") if isinstance(body.get(key), str)}
    return {"name": name, **texts, "default": body.get("default") is True}


def _put(call: Call, record: Json, verb: str, result: str) -> None:
    if record["default"]:
        for other in call.state.populations.values():
            other["default"] = False
    call.state.populations[record["id"]] = record
    _record(call, record, verb, result)


def _record(call: Call, record: Json, verb: str, result: str) -> None:
    resource = (record["id"], record["name"], f"populations/{record['id']}")
    call.record(f"POPULATION.{verb}", f"{result} Population", resource)


def create_population(call: Call) -> Reply:
    """Add a population."""
    if call.populations is not None:
        raise not_permitted()
    written = _written(call, None)
    now = timestamp(call.world.clock.tick())
    record = {
        "id": call.state.new_id("population"),
        "environment": {"id": call.state.id},
        "createdAt": now,
        "updatedAt": now,
    }
    record |= written
    _put(call, record, "CREATED", "Created")
    return Reply(201, population_body(call, record), location=f"{call.home}/populations/{record['id']}")


def replace_population(call: Call) -> Reply:
    """Replace name, description and the mark of the default."""
    old = _find(call)
    written = _written(call, old["id"])
    kept = {key: old[key] for key in ("id", "environment", "createdAt")}
    record = kept | {"updatedAt": timestamp(call.world.clock.tick())} | written
    _put(call, record, "UPDATED", "Updated")
    return Reply(200, population_body(call, record))


def delete_population(call: Call) -> Reply:
    """Remove an empty population; the last one stays."""
    record = _find(call)
    if len(call.state.populations) == 1:
        raise invalid("CONSTRAINT_VIOLATION", "An environment must contain at least one population.", "population")
    if call.state.user_count(record["id"]):
        raise invalid("CONSTRAINT_VIOLATION", "The population still has users.", "population")
    for group in [one for one in call.state.groups.values() if value_at(one.record, "population.id") == record["id"]]:
        call.state.remove_group(group)
    del call.state.populations[record["id"]]
    _record(call, record, "DELETED", "Deleted")
    return Reply(204)


_POPULATIONS = "/v1/environments/{environment}/populations"
_POPULATION = f"{_POPULATIONS}/{{population}}"
ENDPOINTS = (
    Endpoint("GET", _POPULATIONS, "read places", list_populations),
    Endpoint("POST", _POPULATIONS, "write identities", create_population),
    Endpoint("GET", _POPULATION, "read places", read_population),
    Endpoint("PUT", _POPULATION, "write identities", replace_population),
    Endpoint("DELETE", _POPULATION, "write identities", delete_population),
)
