"""The failures a person or a model may read.

    Problem                  what went wrong, and what to do next
    ├── Unconfigured         a setting is missing or wrong
    │   └── MissingExtra         a package that only some commands need is not installed
    ├── Refused              refused here, before any request was sent
    │   └── NoReplica        what is asked needs a local copy, or a part of it, that is not there
    └── UpstreamProblem      PingOne, or the way to it
        ├── NotAuthenticated     401, or the token request was refused
        ├── NotPermitted         403
        ├── NotFound             404
        ├── FilterRefused        400 INVALID_FILTER
        ├── RequestRefused       any other 4xx
        ├── RateLimited          429 beyond the patience of one call
        ├── Unreachable          no answer: DNS, TLS, connection, time-out
        ├── ServerFailed         5xx beyond the patience of one call
        └── UnexpectedAnswer     an answer that is not what PingOne documents
            ├── AnswerTooLarge       one that is larger than anything it should be
            └── AnotherServer        one that something else gave: a proxy, a wrong host

Everything else that is raised is a bug: it is masked at the edge and logged.
No text of PingOne's error bodies ever enters a Problem, and of a directory only the names of candidates do, as quoted
data (`directory.text`). The sentences are ours (`code` values are checked against the documented ones).
"""

from __future__ import annotations

from pingone_mcp.advice import Spelling, spelled, variable

NO_TOKEN_YET = "NO_TOKEN_YET"  # noqa: S105 - a code
"""The code of an answer that came to its end before a token came, which is still waited for."""


WRONG_ARGUMENTS = "WRONG_ARGUMENTS"
"""The code of arguments that a tool does not take, whatever it is asked."""


class Problem(Exception):
    """State what went wrong (`what`), what to do about it (`next_step`), and how to find it in PingOne's logs.

    `code` is PingOne's documented error code, or a short name of ours in capitals. Texts name settings by their marks
    (`advice.setting`); `str(problem)` spells them as environment variables.
    """

    def __init__(
        self, what: str, next_step: str = "", *, code: str | None = None, correlation_id: str | None = None
    ) -> None:
        self.what = what
        self.next_step = next_step
        self.code = code
        self.correlation_id = correlation_id
        super().__init__(what, next_step)

    def __str__(self) -> str:
        return self.text()

    def text(self, spelling: Spelling = variable) -> str:
        """Return all of it as one text, its settings spelled for the reader; with `advice.setting` they stay marks."""
        text = self.what
        code = f"[{self.code}]" if self.code else ""
        trace = f"(correlation id {self.correlation_id})" if self.correlation_id else ""
        for part in filter(None, (self.next_step, code, trace)):
            text += part if text.endswith("\n") else f" {part}"
        return spelled(text, spelling)


class Unconfigured(Problem):
    """A setting is missing or wrong; the text names each one, and so does `wrong`, one by one.

    `notes` say what else was given and comes to nothing.
    """

    def __init__(
        self,
        what: str,
        next_step: str = "",
        *,
        code: str | None = None,
        wrong: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(what, next_step, code=code)
        self.wrong, self.notes = wrong, notes


class MissingExtra(Unconfigured):
    """A package is not installed that an extra of this one brings; the text names the extra."""


class Refused(Problem):
    """An argument, a cursor or a path was refused before any request was sent."""


class NoReplica(Refused):
    """There is no local copy yet, or none that can be read."""


class NoSuchConnection(Refused):
    """There is no such connection, or it is none of the caller's: nobody can tell the one from the other."""

    def __init__(self) -> None:
        super().__init__(
            "There is no such connection.", "List those that this credential reaches.", code="NO_CONNECTION"
        )


class UpstreamProblem(Problem):
    """PingOne refused or failed, or could not be reached.

    `status` is that of its answer, where there was one. `may_have_happened`: it met a write that was sent, and nobody
    knows whether it was carried out.
    """

    status: int | None = None
    may_have_happened = False


class NotAuthenticated(UpstreamProblem):
    """The credentials or the token were not accepted (401, or a refused token request)."""


class NotPermitted(UpstreamProblem):
    """The worker application may not do this (403)."""


class NotFound(UpstreamProblem):
    """There is no such resource (404)."""


class FilterRefused(UpstreamProblem):
    """PingOne does not support the filter (400 with detail INVALID_FILTER)."""


class RequestRefused(UpstreamProblem):
    """PingOne refused the request (any other 4xx)."""


class RateLimited(UpstreamProblem):
    """PingOne asked for a longer pause than one call may take (429)."""


class Unreachable(UpstreamProblem):
    """No answer arrived: name resolution, TLS, connection or time-out."""


class ServerFailed(UpstreamProblem):
    """PingOne kept failing (5xx)."""


class UnexpectedAnswer(UpstreamProblem):
    """An answer that is not what PingOne documents: not JSON, cut short, or a link that leads elsewhere."""


class AnotherServer(UnexpectedAnswer):
    """An answer that something else than PingOne gave in its place."""


class AnswerTooLarge(UnexpectedAnswer):
    """An answer of more bytes or items than are taken; the rest of it was not read."""
