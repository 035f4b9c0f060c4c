"""The administrator of a company at work: what a person changes in its users, with the lines of the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.errors import Json
from pingone_mcp.sandbox.times import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Administration:
    """The administrator of one environment. Users are named by their position in it."""

    state: EnvironmentState
    correlation_id: Callable[[], str]

    def create_user(self, username: str, population_id: str, **attributes: object) -> int:
        """Add a user who may sign in, whose address is the username; return the position."""
        now = timestamp(self.state.clock.tick())
        position = self.state.add_user(
            {
                "account": {"canAuthenticate": True, "status": "OK"},
                "createdAt": now,
                "email": username,
                "enabled": True,
                "identityProvider": {"type": "PING_ONE"},
                "lifecycle": {"status": "ACCOUNT_OK"},
                "mfaEnabled": False,
                "population": {"id": population_id},
                "updatedAt": now,
                "username": username,
                "verifyStatus": "NOT_INITIATED",
                **attributes,
            }
        )
        self._record(self.state.user(position), "USER.CREATED", "Created User")
        return position

    def update_user(self, position: int, **attributes: object) -> None:
        """Replace attributes of a user."""
        self._put(position, attributes, "Updated User")

    def disable_user(self, position: int) -> None:
        """Switch a user off, who stays a member of every group."""
        account = {**self.state.user(position)["account"], "canAuthenticate": False}
        self._put(position, {"enabled": False, "account": account}, "Updated enabled for User")

    def move_user(self, position: int, population_id: str) -> None:
        """Put a user into another population."""
        self._put(position, {"population": {"id": population_id}}, "Updated population for User")

    def delete_user(self, position: int) -> None:
        """Remove a user for good."""
        user = self.state.user(position)
        self.state.remove_user(position)
        self._record(user, "USER.DELETED", "Deleted User")

    def add_to_group(self, position: int, group_id: str) -> None:
        """Make a user a direct member of a group."""
        self.state.join(position, self.state.groups[group_id])
        self._record_membership(position, group_id, "Created")

    def take_from_group(self, position: int, group_id: str) -> None:
        """End the direct membership of a user in a group."""
        self.state.leave(position, self.state.groups[group_id])
        self._record_membership(position, group_id, "Deleted")

    def _put(self, position: int, attributes: Json, result: str) -> None:
        user = {**self.state.user(position), **attributes, "updatedAt": timestamp(self.state.clock.tick())}
        self.state.put_user(position, user)
        self._record(user, "USER.UPDATED", result)

    def _record_membership(self, position: int, group_id: str, done: str) -> None:
        user, name = self.state.user(position), str(self.state.groups[group_id].record["name"])
        path = f"users/{user['id']}/memberOfGroups/{group_id}"
        resource = (self.state.new_id("membership"), name, path)
        self._write(user, f"MEMBER_OF_GROUP.{done.upper()}", f"{done} Member Of Group", resource)

    def _record(self, user: Json, action: str, result: str) -> None:
        self._write(user, action, result, (str(user["id"]), str(user["username"]), f"users/{user['id']}"))

    def _write(self, user: Json, action: str, result: str, resource: tuple[str, str, str]) -> None:
        self.state.record(
            actor=self.state.sample.administrator,
            correlation_id=self.correlation_id(),
            action=action,
            result=result,
            resource=resource,
            population_id=str(user["population"]["id"]),
        )
