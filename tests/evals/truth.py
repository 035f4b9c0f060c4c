"""The truth about the sample company, computed from what the sandbox holds rather than from what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import BY_ID
from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.scim import MemberCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    users: list[dict[str, Any]]
    state: EnvironmentState
    sandbox: Sandbox

    def usernames(self, holds: Callable[[dict[str, Any]], bool]) -> list[str]:
        return [user["username"] for user in self.users if holds(user)]

    def count(self, holds: Callable[[dict[str, Any]], bool]) -> int:
        return len(self.usernames(holds))

    def one(self, name: str) -> dict[str, Any]:
        (user,) = (user for user in self.users if user["username"].partition("@")[0] == name)
        return user

    def population(self, user: dict[str, Any]) -> str:
        return str(self.state.populations[user["population"]["id"]]["name"])

    def groups(self, name: str) -> list[str]:
        return [group.id for group in self.state.groups.values() if group.record["name"] == name]

    def members(self, name: str, kind: str | None = None) -> list[dict[str, Any]]:
        (group,) = self.groups(name)
        return [user for user in self.users if self.kind(user, group) in ((kind,) if kind else ("DIRECT", "INDIRECT"))]

    def kind(self, user: dict[str, Any], group: str) -> str | None:
        position = self.state.position(user["id"])
        assert position is not None
        return self.state.membership(position, group)

    def groups_of(self, name: str, kind: str) -> list[str]:
        user = self.one(name)
        return [
            group.record["name"] for group in self.state.groups.values() if self.kind(user, group.id) == kind.upper()
        ]

    def roles(self, name: str) -> list[str]:
        position = self.state.position(self.one(name)["id"])
        assert position is not None
        return [BY_ID[held.role_id].name for held in self.state.roles_of(position).values()]

    def events(self, action: str) -> list[Any]:
        return [event for event in reversed(self.state.events) if event.action == action]


def named(query: str) -> Callable[[dict[str, Any]], bool]:
    """Say whether a word begins a username, an address, a given or a family name."""

    def holds(user: dict[str, Any]) -> bool:
        texts = [user["username"], user["email"], *user.get("name", {}).values()]
        return any(str(text).casefold().startswith(query.casefold()) for text in texts)

    return holds


def called(given: str, family: str) -> Callable[[dict[str, Any]], bool]:
    return lambda user: (user.get("name", {}).get("given"), user.get("name", {}).get("family")) == (given, family)


def title(user: dict[str, Any]) -> str:
    return str(user.get("title", ""))


def department(user: dict[str, Any]) -> str:
    return str(user.get("department", ""))


def locked(user: dict[str, Any]) -> bool:
    return bool(user["account"]["status"] == "LOCKED")


def disabled(user: dict[str, Any]) -> bool:
    return not user["enabled"]


def unable(user: dict[str, Any]) -> bool:
    return disabled(user) or locked(user)


def invited(user: dict[str, Any]) -> bool:
    return not unable(user) and user["lifecycle"]["status"] == "VERIFICATION_REQUIRED"


def active(user: dict[str, Any]) -> bool:
    return not unable(user) and not invited(user)


def reports_to(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda user: user.get("manager") == f"{name}@example.com"


def both(*conditions: Callable[[dict[str, Any]], bool]) -> Callable[[dict[str, Any]], bool]:
    return lambda user: all(holds(user) for holds in conditions)


def counted(found: Iterable[str]) -> list[Any]:
    found = list(found)
    return [len(found), found]


def usernames(users: Iterable[dict[str, Any]]) -> list[str]:
    return [user["username"] for user in users]


def in_population(truth: Truth, name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda user: truth.population(user) == name


@dataclass(frozen=True, kw_only=True)
class Whole(Truth):
    """The same of a large company: who is in which group is asked of each group once, rather than of each user."""

    @cached_property
    def by_name(self) -> dict[str, dict[str, Any]]:
        return {user["username"].partition("@")[0]: user for user in self.users}

    @cached_property
    def kinds(self) -> dict[str, dict[str, str]]:
        """By the name of a group: its members by id, each direct or indirect."""
        return {group.record["name"]: dict(self._kinds(group.id)) for group in self.state.groups.values()}

    def _kinds(self, group: str) -> Iterator[tuple[str, str]]:
        everybody, direct = (self.state.matching(MemberCondition(group, kind)) for kind in (None, "DIRECT"))
        for position, inside in enumerate(everybody):
            if inside:
                yield str(self.state.user(position)["id"]), "direct" if direct[position] else "indirect"

    def reports(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Yield everybody whose manager is there, with the manager."""
        by_username = {user["username"]: user for user in self.users}
        for user in self.users:
            if user.get("manager") in by_username:
                yield user, by_username[user["manager"]]


def name(user: dict[str, Any]) -> str | None:
    told = user.get("name")
    if told is None:
        return None
    return harmless(told.get("formatted") or " ".join(told[part] for part in ("given", "family") if part in told))


def without_mfa(user: dict[str, Any]) -> bool:
    return not user["mfaEnabled"]


def last_sign_on(user: dict[str, Any]) -> str:
    """Return the time of it; nothing, which sorts before all times, where there was none."""
    return str(user.get("lastSignOn", {}).get("at", ""))
