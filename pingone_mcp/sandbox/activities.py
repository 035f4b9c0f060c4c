"""The audit log: what an event looks like, and which questions `/activities` answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.errors import Json, invalid
from pingone_mcp.sandbox.times import DAY, timestamp

WINDOW = 14 * DAY
Outcome: TypeAlias = Literal["SUCCESS", "FAILED"]

LANGUAGE = scim.language(
    {
        "recordedAt@": "gt ge lt le",
        "createdAt@": "gt ge lt le",
        "correlationId": "eq",
        "actors.client.id": "eq",
        "actors.user.id": "eq",
        "actors.user.name": "eq",
        "resources.id": "eq",
        "resources.type": "eq",
        "resources.population.id": "eq",
        "action.type": "eq",
        "tags": "eq",
    },
    only_and=True,
    any_case=True,
)
ADMINISTRATIVE = "adminIdentityEvent"
_SUBJECTS = ("actors", "action.type", "resources.id", "resources.type", "correlationId", "tags")
_WITH_POPULATION = {"actors", "action.type", "resources.type"}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a client, perhaps on behalf of an administrator."""

    client_id: str
    client_name: str
    user_id: str | None = None
    user_name: str = ""
    user_environment: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """One line of the audit log. It says that something changed, never what it was before or is now."""

    id: str
    at: int
    action: str
    result: str
    resource_id: str
    resource_name: str
    path: str
    actor: Actor
    correlation_id: str
    population_id: str | None = None
    lag: int = 22
    telemetry: dict[str, dict[str, str]] = field(default_factory=dict)
    modified: tuple[str, ...] = ()
    """The attributes that an update of a user changed; none for events that do not say it."""
    outcome: Outcome = "SUCCESS"
    tags: tuple[str, ...] = (ADMINISTRATIVE,)

    @property
    def noun(self) -> str:
        """The noun of the action, `USER` of `USER.CREATED`."""
        return self.action.partition(".")[0]

    @property
    def resource_type(self) -> str:
        """What the event calls its resource: a role is assigned to a user, who is named in its place (recorded)."""
        return "USER" if self.noun == "ROLE_ASSIGNMENT" else self.noun

    @property
    def shown_population(self) -> str | None:
        """The population beside the resource; events of memberships show none (recorded)."""
        return None if self.noun == "MEMBER_OF_GROUP" else self.population_id

    def value(self, path: str) -> object:
        """Return the value that a filter compares."""
        actor = self.actor
        answers: dict[str, object] = {
            "recordedAt": self.at,
            "createdAt": self.at + self.lag,
            "correlationId": self.correlation_id,
            "actors.client.id": actor.client_id,
            "actors.user.id": actor.user_id,
            "actors.user.name": actor.user_name or None,
            "resources.id": self.resource_id,
            "resources.type": self.resource_type,
            "resources.population.id": self.shown_population,
            "action.type": self.action,
            "tags": next(iter(self.tags), None),
        }
        return answers[path]

    def native(self, base: str, environment_id: str) -> Json:
        """Write the event as PingOne does; `base` is the address of the environments."""
        here = f"{base}/{environment_id}"
        actors: Json = {"client": {"id": self.actor.client_id, "name": self.actor.client_name, "type": "CLIENT"}}
        if self.actor.user_id:
            home = self.actor.user_environment
            actors["user"] = {
                "id": self.actor.user_id,
                "name": self.actor.user_name,
                "environment": {"id": home},
                "population": {},
                "href": f"{base}/{home}/users/{self.actor.user_id}",
                "type": "USER",
            }
        resource: Json = {
            "type": self.resource_type,
            "id": self.resource_id,
            "name": self.resource_name,
            "environment": {"id": environment_id},
        }
        if self.shown_population:
            resource["population"] = {"id": self.shown_population}
        resource["href"] = f"{here}/{self.path}"
        embedded: Json = {"_embedded": {"modifiedAttributes": list(self.modified)}} if self.modified else {}
        return {
            "_links": {"self": {"href": f"{here}/activities/{self.id}"}},
            "id": self.id,
            "recordedAt": timestamp(self.at),
            "createdAt": timestamp(self.at + self.lag),
            "correlationId": self.correlation_id,
            **self.telemetry,
            "actors": actors,
            "action": {"type": self.action, "description": self.action.replace(".", " ").replace("_", " ").title()},
            "resources": [resource],
            "result": {"status": self.outcome, "description": self.result},
            "tags": list(self.tags),
            **embedded,
        }


def modified_attributes(old: Json, new: Json) -> tuple[str, ...]:
    """Name the attributes in which a user differs from before, but for those that follow from others."""
    names = sorted({*old, *new} - {"account", "lifecycle", "updatedAt"})
    return tuple(name for name in names if old.get(name) != new.get(name))


def _leaves(node: scim.Node) -> list[scim.AttributeCondition]:
    if isinstance(node, scim.Conjunction):
        return [leaf for part in node.parts for leaf in _leaves(part)]
    return [node] if isinstance(node, scim.AttributeCondition) else []


def _range(leaves: list[scim.AttributeCondition]) -> tuple[int, int] | None:
    for name in ("recordedAt", "createdAt"):
        of = [leaf for leaf in leaves if leaf.attribute == name and isinstance(leaf.value, int)]
        low = [int(leaf.value or 0) for leaf in of if leaf.operator in {"ge", "gt"}]
        high = [int(leaf.value or 0) for leaf in of if leaf.operator in {"le", "lt"}]
        if low and high:
            return max(low), min(high)
    return None


def question(text: str | None) -> tuple[scim.Node, int, int]:
    """Read a filter of `/activities` and the instants it lies between.

    Raises a 400 without a range of `recordedAt` or `createdAt`, and for subjects that cannot be combined: one of actor,
    action type and resource type (each perhaps with a population), resource id, correlation id or tag.
    """
    if not text:
        raise invalid("REQUIRED_VALUE", "a range of recordedAt or createdAt is required", "filter")
    node = scim.parse(text, LANGUAGE)
    leaves = _leaves(node)
    between = _range(leaves)
    if between is None:
        raise invalid("INVALID_FILTER", "a range of recordedAt or createdAt is required", "filter")
    asked = [leaf.attribute for leaf in leaves if leaf.attribute not in {"recordedAt", "createdAt"}]
    subjects = {subject for subject in _SUBJECTS for name in asked if name.startswith(subject)}
    population = "resources.population.id" in asked
    if len(subjects) > 1 or (population and subjects and not subjects <= _WITH_POPULATION):
        raise invalid("INVALID_FILTER", "the filter combines attributes that cannot be combined", "filter")
    return node, *between
