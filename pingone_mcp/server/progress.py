"""How far a request is, in the protocol's terms: one number that only grows, over stages that each count anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Send = Callable[[float, float | None, str], Awaitable[None]]
"""Called with the number, of how much (None: not known), and a text; a Context's `report_progress`."""


class Progressing:
    """Tell a client how far its one request is.

    "The progress value MUST increase with each notification" (MCP, "Progress"). So a stage counts on from the stages
    before it, and one itself; what has not grown is not sent. `total` is never less than the number.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._stage: str | None = None
        self._done = self._before = 0
        self._sent: int | None = None

    async def report(self, stage: str, done: int, about: int | None = None, message: str | None = None) -> None:
        """Tell of a stage how much of it is done (`about`: of how much); `message` is the text for people.

        Less than before is the stage begun anew.
        """
        if self._sent is not None and (stage != self._stage or done < self._done):
            self._before = self._sent + 1
        self._stage, self._done = stage, done
        progress = self._before + done
        if self._sent is not None and progress <= self._sent:
            return
        self._sent = progress
        total = self._before + about if about is not None and about >= done else None
        await self._send(progress, total, message or in_words(stage, done, about))


def in_words(stage: str, done: int, about: int | None) -> str:
    """Say for people how much of a stage is done."""
    if not done and about is None:
        return stage
    return f"{stage}: {done:,}" + (f" of about {about:,}" if about is not None else "")
