"""The story itself: what an assistant asks of a directory in its first days."""

from __future__ import annotations

from pingone_mcp.demo import sheets
from pingone_mcp.demo.meantime import APPROVERS, NEWCOMER, ROSTER, let_happen
from pingone_mcp.demo.stage import Stage

_NEVER_SIGNED_IN = (
    "SELECT department, count(*) AS never_signed_in FROM users "
    "WHERE last_login_at IS NULL AND status = 'active' GROUP BY department ORDER BY 2 DESC"
)


async def tell_story(stage: Stage) -> None:
    """Show it all."""
    await stage.present()
    stage.title("Asked of PingOne")
    await _live(stage)
    stage.title("Answered from a copy on this machine")
    await _copied(stage)
    stage.title("Who has access, and should not")
    await _reviewed(stage)


async def _live(stage: Stage) -> None:
    first = await stage.ask(
        "Who is in the directory?",
        "list_users",
        {"limit": 100},
        "One flat list in one unified schema. `total` counts all; the cursor leads on, so nobody is forgotten.",
        read=sheets.listed,
    )
    await stage.ask(
        "Tell me about the second one.",
        "get_user",
        {"user": first["result"][1]["username"]},
        "Groups (also indirect ones) come with their names; status_source is what PingOne itself says.",
        read=sheets.one_user,
    )
    await stage.ask(
        "Which contractors cannot sign in any more, and why?",
        "find_deactivated",
        {"population": "Contractors"},
        "Each reason says how it was looked for, and what may be missing. Populations are asked for by name.",
        read=sheets.listed,
    )
    await stage.ask(
        "Show me PingOne's own populations.",
        "proxy_request",
        {"path": f"/environments/{stage.sandbox.environment_id}/populations"},
        "Whatever else the API can read, in PingOne's own words. The token goes to this API and nowhere else.",
        read=sheets.listed,
    )
    await stage.ask(
        "Whose title starts with Eng?",
        "list_users",
        {"filter": 'title starts "Eng"'},
        "A mistake on purpose: the assistant is told what to write instead, and PingOne is not bothered with it.",
        read=sheets.listed,
    )


async def _copied(stage: Stage) -> None:
    await stage.ask(
        "Keep a copy of all that on this machine.",
        "sync_directory",
        {},
        "One private file.",
        read=sheets.synced,
    )
    await stage.ask(
        "Who has never signed in, by department?",
        "query_directory",
        {"sql": _NEVER_SIGNED_IN},
        "A question about everybody, answered in a few hundred characters: the directory stays on this machine.",
        read=sheets.selected,
    )
    who = let_happen(stage.sandbox)
    stage.tell(
        f"Meanwhile, in the company: Noor Ahmadi joins Finance, {who.moved} moves there from Sales, "
        f"{who.disabled} is switched off, {who.removed} is deleted."
    )
    await stage.ask(
        "Bring the copy up to date.",
        "sync_directory",
        {},
        "Only what has changed was read.",
        read=sheets.synced,
    )
    await stage.ask(
        "What has changed in the last hour?",
        "list_changes",
        {"since": "1h"},
        "From what to what, and by whom as far as the audit tells. Nobody is called removed without evidence.",
        read=sheets.changed,
    )


async def _reviewed(stage: Stage) -> None:
    await stage.ask(
        "Whose account in the travel application should not be there?",
        "check_drift",
        {"roster": ROSTER},
        "The application's user list is a file on this machine; only what differs is answered.",
        read=sheets.drifted,
    )
    await stage.ask(
        "Who may approve payments, and deserves a look?",
        "access_review",
        {"group": APPROVERS},
        "Who was switched off is a member still. Whatever is not known is said to be unknown, and not 0.",
        read=sheets.reviewed,
    )
    await stage.ask(
        "And as a file, for the auditor?",
        "access_review",
        {"group": APPROVERS, "format": "csv"},
        "The manifest says what the file is, and proves that it is still the same.",
        read=sheets.exported,
    )
    await stage.ask(
        "Which roles does the newcomer get in the ledger?",
        "map_roles",
        {"user": NEWCOMER},
        "By rules in a file of yours, which `guide roles` explains; each with the group that gave it.",
        read=sheets.granted,
    )
