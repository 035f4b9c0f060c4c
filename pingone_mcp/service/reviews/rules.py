"""The rules for roles of a connection: read anew for each question."""

from __future__ import annotations

from pingone_mcp.reports.role_rules import Rules
from pingone_mcp.service.files.role_rules import RuleFiles
from pingone_mcp.tasks import in_thread


async def read_rules(files: RuleFiles) -> Rules:
    """Return the rules as they are now. Raises Refused where there are none, two of them, or wrong ones."""
    return await in_thread(files.read, pool="disk")
