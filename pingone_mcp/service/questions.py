"""Questions to a person, each good for one answer.

Clients of the sessions answer inside the call that asks. Clients of 2026-07-28 answer with a second call, which carries
back the `requestState` of the first, and may send that call several times at once: the first takes the question.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

_OPEN_AT_MOST = 200
_OPEN_SECONDS = 600.0  # as long as the SDK takes a `requestState` back

Client = tuple[str, str]
"""Name and version, as a client gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Whom a question is put to: the person at a client of a connection.

    `principal` is who has signed in, where callers do (None over stdio, where the process has one client). Without it a
    client of the stateless era is known by its name and version alone, and by the state that only it was given.
    """

    connection: str
    client: Client | None = None
    principal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person is asked: the text shown, the digest of the request it is about, who is asked, and when."""

    text: str
    request: str
    addressee: Addressee
    at: float


@dataclass(slots=True, kw_only=True)
class Questions:
    """The questions that wait for a second call, by the state that it carries back. `now` is in monotonic seconds.

    The state is what the SDK made of the text, which holds a reference of its own, so two questions share none. It is
    sealed with a key of this process: after a restart there is no state to come back with. The oldest are forgotten.
    """

    now: Callable[[], float] = time.monotonic
    _open: dict[str, Question] = field(default_factory=dict[str, Question])

    def reference(self) -> str:
        """Return what tells one question from every other."""
        return secrets.token_hex(8)

    def ask(self, text: str, request: str, addressee: Addressee) -> Question:
        return Question(text=text, request=request, addressee=addressee, at=self.now())

    def wait(self, state: str, question: Question) -> None:
        """Let a question be answered by the call that carries a state back."""
        self._open = {other: asked for other, asked in self._open.items() if self.is_open(asked)}
        self._open[state] = question
        while len(self._open) > _OPEN_AT_MOST:
            del self._open[next(iter(self._open))]

    def take(self, state: str, request: str, addressee: Addressee) -> Question | None:
        """Return the question that a call answers, which nobody gets again.

        None where no question waits for this state, or it was about another request or put to somebody else.
        """
        found = self._open.get(state)
        if found is None or (found.request, found.addressee) != (request, addressee) or not self.is_open(found):
            return None
        return self._open.pop(state)

    def is_open(self, question: Question) -> bool:
        """Say whether an answer still counts."""
        return self.now() - question.at <= _OPEN_SECONDS
