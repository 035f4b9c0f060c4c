"""The built-in administrator roles, and what each lets a worker application do here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from pingone_mcp.sandbox.errors import Json

Scope: TypeAlias = Literal["ORGANIZATION", "ENVIRONMENT", "POPULATION", "APPLICATION"]
Permission: TypeAlias = Literal[
    "read identities",
    "read places",
    "write identities",
    "assign roles",
    "read configuration",
    "read audit",
    "read subscriptions",
    "manage subscriptions",
]
"""What an endpoint takes; "read places" is reading populations and groups. Options say who has the last two."""

WHOLE_ENVIRONMENT: frozenset[Permission] = frozenset(
    {"read configuration", "read audit", "read subscriptions", "manage subscriptions"}
)
"""What is had for a whole environment or not at all."""

_READ: frozenset[Permission] = frozenset({"read identities", "read places"})
_WRITE: frozenset[Permission] = _READ | {"write identities", "assign roles"}
_CONFIGURATION: frozenset[Permission] = frozenset({"read configuration", "read audit"})
_ALL_CONFIGURATION: frozenset[Permission] = _CONFIGURATION | {"assign roles"}


@dataclass(frozen=True)
class BuiltInRole:
    """A built-in role; ids are the ones recorded where one was recorded."""

    id: str
    name: str
    description: str
    applicable_to: tuple[Scope, ...]
    permissions: frozenset[Permission]

    def native(self) -> Json:
        """Write the role as PingOne does, without links; permission names are a small selection."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "applicableTo": list(self.applicable_to),
            "permissions": [
                {"classifier": classifier, "description": classifier.replace(":", " ").capitalize()}
                for permission in sorted(self.permissions)
                for classifier in _CLASSIFIERS[permission]
            ],
        }


_CLASSIFIERS: dict[Permission, tuple[str, ...]] = {
    "read identities": ("dir:read:user",),
    "read places": ("dir:read:population", "dir:read:group"),
    "write identities": ("dir:create:user", "dir:update:user", "dir:delete:user"),
    "assign roles": ("permissions:create:userRoleAssignments", "permissions:delete:userRoleAssignments"),
    "read configuration": ("orgmgt:read:environment", "applications:read:application"),
    "read audit": ("audit_reporting:read:activity",),
}

_WIDE: tuple[Scope, ...] = ("ORGANIZATION", "ENVIRONMENT")
_IDENTITY: tuple[Scope, ...] = ("ORGANIZATION", "ENVIRONMENT", "POPULATION")

ROLES: tuple[BuiltInRole, ...] = (
    BuiltInRole(
        "1813bc13-8d13-4e88-a825-d40bfe82777b",
        "Organization Admin",
        "Creates environments and assigns administrators.",
        ("ORGANIZATION",),
        _ALL_CONFIGURATION,
    ),
    BuiltInRole(
        "29ddce68-cd7f-4b2a-b6fc-f7a19553b496",
        "Environment Admin",
        "Configures one environment.",
        _WIDE,
        _ALL_CONFIGURATION,
    ),
    BuiltInRole(
        "0bd9c966-7664-4ac1-b059-0ff9293908e2",
        "Identity Data Admin",
        "Reads and changes users, groups and populations.",
        _IDENTITY,
        _WRITE,
    ),
    BuiltInRole(
        "b5057d0d-7281-47f6-9398-8a7e4cb71397",
        "Client Application Developer",
        "Configures applications.",
        ("ENVIRONMENT", "APPLICATION"),
        frozenset({"read configuration"}),
    ),
    BuiltInRole(
        "ce00e15f-f845-4df1-abf3-fdc4ff4e176c",
        "Identity Data Read Only",
        "Reads users, groups and populations.",
        _IDENTITY,
        _READ,
    ),
    BuiltInRole(
        "7aba580c-5ec7-4b26-987d-85f462767455",
        "Configuration Read Only",
        "Reads the configuration and the audit log.",
        _WIDE,
        _CONFIGURATION,
    ),
)
BY_NAME = {role.name: role for role in ROLES}
BY_ID = {role.id: role for role in ROLES}


@dataclass(frozen=True)
class Grant:
    """A role given to the worker application over an organization, an environment or a population."""

    role: str
    scope: Scope
    scope_id: str


@dataclass(frozen=True)
class Narrowing:
    """What somebody took from the application's roles in one environment; without any of it they reach all they say."""

    populations: frozenset[str] | None = None
    """The only populations whose users are seen. None: as granted; empty: no user, and `/users` is refused."""
    hidden: frozenset[str] = frozenset()
    """Users who are not seen wherever they are: not in lists, and 404 when read. No built-in role is known to do so."""
    configuration: bool = True
    """False: neither the configuration nor the audit log is read."""
    environment: bool = True
    """False: the environment is not listed any more, and answers as one that does not exist."""
