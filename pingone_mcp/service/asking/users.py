"""One user whole; and of one who is not shown any more, what the local copy knows."""

from __future__ import annotations

from pingone_mcp.advice import setting
from pingone_mcp.directory.models import User
from pingone_mcp.errors import NotFound
from pingone_mcp.service.answering import in_time
from pingone_mcp.service.backend import Backend


async def find_user(
    backend: Backend, reference: str, *, environment: str | None = None, remote_data: bool = False
) -> User:
    """Return the user whom an id, username, email or external id means, within the time of one answer.

    Raises NotFound, with the code USER_REMOVED or LEFT_SCOPE where the local copy knows what became of the user, and
    Problem where the provider cannot be asked.
    """
    try:
        with in_time(backend):
            return await backend.directory.user(reference, environment=environment, remote_data=remote_data)
    except NotFound as unknown:
        raise await _not_any_more(backend, reference, anywhere=environment is None) or unknown from None


async def _not_any_more(backend: Backend, user: str, *, anywhere: bool) -> NotFound | None:
    """Return the failure for a user whom the local copy knows: removed, moved out of scope, or still there for it."""
    if anywhere and await backend.replica.has(user):
        return NotFound(
            "PingOne does not show this user now, but the local copy still has them: removed since, or hidden.",
            "sync_directory finds out which; query_directory tells what the copy knows.",
            code="NOT_FOUND",
        )
    gone = await backend.replica.gone(user)
    if gone is None:
        return None
    if gone.removed:
        return NotFound(
            f"This user was removed at {gone.at}, as the local copy knows.",
            f"The view removed_users tells more (query_directory); the id is {gone.id}.",
            code="USER_REMOVED",
        )
    return NotFound(
        f"This user left the populations served here at {gone.at}: moved, not removed.",
        f"The person who runs this server decides with {setting('populations')} which populations are served.",
        code="LEFT_SCOPE",
    )
