"""The administrator of a company at work: what a person changes in its users, with the lines of the audit log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pingone_mcp.sandbox.activities import Outcome, modified_attributes
from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.errors import Json
from pingone_mcp.sandbox.times import timestamp

ADDRESS = "192.0.2.20"
"""Where the administrator's browser is."""


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

    def enable_user(self, position: int) -> None:
        """Switch a user on again, who may sign in unless locked."""
        account = self.state.user(position)["account"]
        account = {**account, "canAuthenticate": account["status"] == "OK"}
        self._put(position, {"enabled": True, "account": account}, "Updated enabled for User")

    def move_user(self, position: int, population_id: str) -> None:
        """Put a user into another population."""
        action = self.state.options.moved_users_event
        self._put(position, {"population": {"id": population_id}}, "Updated population for User", action)

    def lock_user(self, position: int) -> None:
        """Lock a user."""
        self._put(position, self._locked(), "Locked User", "USER.LOCKED")

    def fail_to_sign_on(self, position: int) -> None:
        """Lock a user by failed sign-ons; which event tells of it is an option."""
        locked, event = self._locked(), self.state.options.failed_sign_ons_event
        if event == "PASSWORD.CHECK_FAILED":
            self._put(position, locked, "Failed password check for User", event, "FAILED")
        else:
            self._put(position, locked, "Locked User", event)

    def unlock_user(self, position: int) -> None:
        """Unlock a user."""
        enabled = self.state.user(position)["enabled"]
        self._put(position, {"account": {"canAuthenticate": enabled, "status": "OK"}}, "Unlocked User", "USER.UNLOCKED")

    def sign_on(self, position: int, *, allowed: bool = True) -> None:
        """Let a user sign on, or refuse it."""
        user, outcome = self.state.user(position), "Passed" if allowed else "Failed"
        if allowed:
            signed_on = {"at": timestamp(self.state.clock.tick()), "remoteIp": ADDRESS}
            self.state.put_user(position, user | {"lastSignOn": signed_on})
        self._record(
            user,
            "USER.ACCESS_ALLOWED" if allowed else "USER.ACCESS_DENIED",
            f"{outcome} role access control",
            outcome="SUCCESS" if allowed else "FAILED",
            whole_result=True,
        )

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

    def _locked(self) -> Json:
        at = timestamp(self.state.clock.now())
        return {"account": {"canAuthenticate": False, "status": "LOCKED", "lockedAt": at}}

    def _put(
        self,
        position: int,
        attributes: Json,
        result: str,
        action: str | None = "USER.UPDATED",
        outcome: Outcome = "SUCCESS",
    ) -> None:
        old = self.state.user(position)
        user = {**old, **attributes, "updatedAt": timestamp(self.state.clock.tick())}
        self.state.put_user(position, user)
        if action is not None:
            modified = modified_attributes(old, user) if action in {"USER.UPDATED", "USER.MOVED"} else ()
            self._record(user, action, result, modified=modified, outcome=outcome)

    def _record_membership(self, position: int, group_id: str, done: str) -> None:
        user, name = self.state.user(position), str(self.state.groups[group_id].record["name"])
        path = f"users/{user['id']}/memberOfGroups/{group_id}"
        resource = (self.state.new_id("membership"), name, path)
        self._write(user, f"MEMBER_OF_GROUP.{done.upper()}", f"{done} Member Of Group", resource)

    def _record(
        self,
        user: Json,
        action: str,
        result: str,
        *,
        modified: tuple[str, ...] = (),
        outcome: Outcome = "SUCCESS",
        whole_result: bool = False,
    ) -> None:
        resource = (str(user["id"]), str(user["username"]), f"users/{user['id']}")
        self._write(user, action, result, resource, modified=modified, outcome=outcome, whole_result=whole_result)

    def _write(
        self,
        user: Json,
        action: str,
        result: str,
        resource: tuple[str, str, str],
        *,
        modified: tuple[str, ...] = (),
        outcome: Outcome = "SUCCESS",
        whole_result: bool = False,
    ) -> None:
        self.state.record(
            actor=self.state.sample.administrator,
            correlation_id=self.correlation_id(),
            action=action,
            result=result,
            resource=resource,
            population_id=str(user["population"]["id"]),
            telemetry={"source": {"ipAddress": ADDRESS, "userAgent": "Mozilla/5.0"}},
            modified=modified,
            outcome=outcome,
            whole_result=whole_result,
        )
