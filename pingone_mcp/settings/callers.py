"""What callers over HTTP neither give nor see of a connection's settings."""

from __future__ import annotations

OF_THE_PROCESS = frozenset({"api_url", "auth_url", "sandbox"})
"""The settings of a linked connection that are for the person who runs the process."""
