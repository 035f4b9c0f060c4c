"""A change of the provider's data: looked at, confirmed by a person, recorded, and sent once.

It fails closed: writes are off unless a setting allows them; an environment that is not known to be a SANDBOX needs a
second setting; a caller that cannot ask its person is refused; one yes to one question sends one request. A program
that was given the permission to write is asked no question; all else holds for it too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import anyio

from pingone_mcp.advice import setting
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.native import Concerned, NativeApi, Preview, ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text.harmless import coded, quoted
from pingone_mcp.errors import Problem, Refused, ServerFailed, UnexpectedAnswer, Unreachable
from pingone_mcp.service.journal import Journal
from pingone_mcp.service.questions import Addressee, Question, Questions

Decision = Literal["confirmed", "declined", "cancelled"]

_LONGEST_QUESTION = 6_000
_LONGEST_NAME = 100
_LOOK = "It may have happened all the same: read the resource before you repeat the request."
# What a confirmed write waits for: 55 s together where it is checked twice in one call, as in that which brings the
# answer to a question. Clients give up after 60, and should hear what became of it.
_CHECK_SECONDS, _SEND_SECONDS = 10.0, 35.0
_PROGRAM_SECONDS = 15.0  # programs give up after 30, and send some failures again by themselves
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRules:
    """What is allowed, where it is recorded, what people were asked; `within` bounds a wait, in seconds."""

    journal: Journal
    allow_production: bool = False
    questions: Questions = field(default_factory=Questions)
    within: Callable[[float], anyio.CancelScope] = anyio.move_on_after

    def check(self, preview: Preview) -> None:
        """Raise Refused for an environment that may not be changed."""
        if preview.organization.type != "SANDBOX" and not self.allow_production:
            raise Refused(
                f"This environment is of type {_kind(preview)}, so nothing was sent.",
                f"The person who runs this server can allow it with {setting('allow_production_writes')}.",
                code="PRODUCTION_WRITES_OFF",
            )
        if preview.beyond and not self.allow_production:
            raise Refused(
                "This gives a role over more than the environment in its path, so nothing was sent.",
                "Give the role over that environment (scope: its id, type ENVIRONMENT) or a population in it. The person "
                f"who runs this server can allow more with {setting('allow_production_writes')}.",
                code="PRODUCTION_WRITES_OFF",
            )

    @contextmanager
    def bounded(self, seconds: float, step: str) -> Iterator[None]:
        """Bound what is waited for. Raises Unreachable when that ends; `step` says what is known then."""
        with self.within(seconds) as scope:
            yield
        if scope.cancelled_caught:
            raise Unreachable(f"PingOne did not answer within {seconds:g} s.", step, code="TOO_SLOW")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the provider answered to a write, and what its caller should know about it."""

    answer: ProxyAnswer
    notes: tuple[str, ...] = ()


class Write:
    """One request to change something: the question about it, and its sending.

    `addressee` is whose person is asked. What is decided, sent and answered is recorded under one id.
    """

    def __init__(self, native: NativeApi, rules: WriteRules, request: ProxyQuestion, addressee: Addressee) -> None:
        self._native = native
        self._rules = rules
        self._request = request
        self._addressee = addressee
        self._id = str(uuid.uuid4())
        self._preview: Preview | None = None
        self._question: Question | None = None

    async def ask(self, *, cursor: str | None, state: str | None, can_ask: bool) -> str:
        """Return the question to the person, as text.

        With a `state` this call answers a question that the person has seen: it is taken, and is the same again.
        `can_ask` says whether the caller can show its person a question. Raises Refused for what may not be sent, or
        not be asked, and Problem where that cannot be found out; each is recorded.
        """
        with self._refusals():
            if cursor is not None:
                raise Refused("A write takes no `cursor`.", "Leave it out. Nothing was sent.", code="CURSOR_REFUSED")
            preview = await self._look("Nothing was sent. Try again.")
            if state is not None:
                self._question = self._rules.questions.take(state, _digest(self._request), self._addressee)
                if self._question is None:
                    raise _used()
            else:
                self._question = await self._new_question(preview, can_ask=can_ask)
        return self._question.text

    def wait_for_answer(self, state: str) -> None:
        """Let the question be answered by another call, which carries this state back."""
        if self._question is not None:
            self._rules.questions.wait(state, self._question)

    def refuse_unanswered(self) -> None:
        """Record that the question came to nothing. Raises Refused, always, or where it cannot be recorded."""
        self._record("refused", {"code": "NO_CONFIRMATION"})
        raise Refused(
            "The question was not answered with a yes, so nothing was sent.",
            "Do not repeat the request unasked.",
            code="NO_CONFIRMATION",
        )

    async def send(self, decision: Decision) -> Sent:
        """Send what the person confirmed, once; record what was decided, sent and answered.

        Raises Refused where the person said no, or may not send it any more, and Problem where it failed, or where
        nobody knows whether it happened.
        """
        with self._refusals():
            preview = await self._look("Nothing was sent. Make the request anew to ask the person again.")
        if decision != "confirmed":
            self._record(decision, {})
            raise Refused(
                f"The person {decision} this request, so nothing was sent.",
                "Do not repeat it unasked.",
                code="DECLINED",
            )
        with self._refusals():
            if self._question is None or not self._rules.questions.is_open(self._question):
                raise _used()
            self._rules.check(preview)  # the person may have taken their time
        return await self._carried_out(_SEND_SECONDS)

    async def perform(self) -> Sent:
        """Send what the caller decides itself, once: a program whose credential lets it write is its own person.

        It takes less than 28 s. Raises Refused for what may not be sent, and Problem where it failed, or where nobody
        knows whether it happened (`may_have_happened`).
        """
        await self.check()
        return await self._carried_out(_PROGRAM_SECONDS)

    async def check(self) -> None:
        """Find out whether it may be sent as things are now; nothing is. Raises as `perform` does before it sends."""
        with self._refusals():
            self._rules.check(await self._look("Nothing was sent. Try again."))

    async def _carried_out(self, seconds: float) -> Sent:
        self._record("sending", {})  # what cannot be recorded is not sent
        answer = await self._sent(seconds)
        result: JsonObject = {"status": answer.status, "correlation_id": answer.correlation_id}
        notes: list[str] = []
        if not self._record_result("answered", result):
            notes.append("It was sent, but its result could not be recorded.")
        if answer.unread is not None:
            notes.append(f"It was done, but its answer cannot be shown: {answer.unread}")
        return Sent(answer=answer, notes=tuple(notes))

    async def _look(self, step: str) -> Preview:
        """Return what the write would do, as it is now. Raises Refused for what leads outside the scope."""
        self._preview = None  # until it is let through, what is recorded is what was given
        with self._rules.bounded(_CHECK_SECONDS, step):
            self._preview = await self._native.preview(self._request)
        return self._preview

    async def _new_question(self, preview: Preview, *, can_ask: bool) -> Question:
        self._rules.check(preview)
        if not can_ask:
            raise Refused(
                "This client cannot ask its person for a confirmation, so nothing was sent.",
                "Use a client with MCP elicitation for writes.",
                code="CANNOT_ASK",
            )
        concerned = await self._native.concerned(self._request)
        questions = self._rules.questions
        text = question_text(self._request, preview, concerned, questions.reference())
        return questions.ask(text, _digest(self._request), self._addressee)

    async def _sent(self, seconds: float) -> ProxyAnswer:
        """Send and return the answer; record it when there is none. Nothing that may have happened is repeated."""
        try:
            with self._rules.bounded(seconds, _LOOK):
                return await self._native.send(self._request)
        except (Unreachable, ServerFailed, UnexpectedAnswer) as problem:
            self._record_result("unknown", _failure(problem))
            unknown = type(problem)(problem.what, _LOOK, code=problem.code, correlation_id=problem.correlation_id)
            unknown.status, unknown.may_have_happened = problem.status, True
            raise unknown from problem
        except Problem as problem:
            self._record_result("failed", _failure(problem))
            raise
        except BaseException:
            self._record_result("unknown", {"code": "ENDED"})
            raise

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Record what is refused; that it is matters more to who asked than that it cannot be recorded."""
        try:
            yield
        except Problem as problem:
            self._record_result("refused", {"code": problem.code})
            raise

    def _record_result(self, event: str, more: JsonObject) -> bool:
        """Record what became of a request, sent or refused; a full disk must not hide that it was."""
        try:
            self._record(event, more)
        except Refused:
            _logger.warning("what became of a write could not be recorded")
            return False
        return True

    def _record(self, event: str, more: JsonObject) -> None:
        """Record one event. Of query and body only the names of the members are kept. Raises Refused.

        Where nothing was let through, path and query are those that were given.
        """
        request, preview = self._request, self._preview
        client, principal = self._addressee.client, self._addressee.principal
        about = {"id": preview.organization.id, "type": preview.organization.type} if preview is not None else None
        self._rules.journal.write(
            {
                "at": timestamp(datetime.now(UTC)),
                "id": self._id,
                "event": event,
                "client": dict(zip(("name", "version"), client, strict=True)) if client is not None else None,
                **({"principal": principal} if principal is not None else {}),
                "method": request.method,
                "path": preview.path if preview else request.path.partition("?")[0][:_LONGEST_QUESTION],
                "query": _members(preview.query if preview else request.query),
                "environment": about,
                "content_type": request.content_type[:_LONGEST_NAME] if request.content_type is not None else None,
                "body_members": _members(request.body) if isinstance(request.body, dict) else [],
                **more,
            }
        )


def writes_off() -> Refused:
    """Return what is said of a write where none are allowed."""
    return Refused(
        "Writes are off, so nothing was sent.",
        f"The person who runs this server can allow them with {setting('allow_writes')}.",
        code="WRITES_OFF",
    )


def question_text(request: ProxyQuestion, preview: Preview, about: tuple[Concerned, ...], reference: str) -> str:
    """Say what would be sent, where, to whom, and what it changes: all of it, each part on one line of its own.

    Secrets are blanked. What somebody else wrote stands in quotes that it cannot leave, or holds no space, and shows
    as what it is wherever it is displayed. Raises Refused for what is too large to be looked at.
    """
    lines = [
        f"{request.method} {coded(preview.path)}",
        f"Environment: {_named(preview.organization.name or 'unnamed')} ({_kind(preview)}), {preview.organization.id}",
        *map(_whom, about),
    ]
    if preview.query:
        lines.append(f"Query: {quoted(preview.query)}")
    if request.content_type:
        lines.append(f"Media type: {quoted(request.content_type)}")
    if request.body is not None:
        lines.append(f"Body: {quoted(preview.body)}")
    if request.method == "DELETE":
        lines.append("This deletes what the path names.")
    text = "\n".join(lines)
    if len(text) > _LONGEST_QUESTION:
        raise Refused(
            f"This request has {len(text):,} characters, more than a person can look through, so nothing was sent.",
            f"Send it in parts of less than {_LONGEST_QUESTION:,} characters.",
            code="TOO_LARGE_TO_CONFIRM",
        )
    return f"Send this to PingOne? ({reference})\n{text}"


def _kind(preview: Preview) -> str:
    return preview.organization.type if preview.organization.type in ("PRODUCTION", "SANDBOX") else "unknown"


def _whom(one: Concerned) -> str:
    """Name somebody that a write is about, as data in quotes."""
    word = one.kind.capitalize()
    if one.found is None:
        return f"{word}: the name cannot be read, {one.id}"
    if not one.found:
        return f"{word}: there is none of this id, {one.id}"
    username = f", username {_named(one.username)}" if one.username is not None else ""
    return f"{word}: {_named(one.name) if one.name is not None else 'without a name'}{username}, {one.id}"


def _named(name: str) -> str:
    """Return a name in quotes, cut where it is longer than a name should be."""
    return quoted(name) if len(name) <= _LONGEST_NAME else f"{quoted(name[:_LONGEST_NAME])} and more"


def _used() -> Refused:
    return Refused(
        "This confirmation was used up before, or came too late, so this call sent nothing.",
        "Read the resource to see whether the request was sent; make it anew to ask the person again.",
        code="CONFIRMATION_USED",
    )


def _failure(problem: Problem) -> JsonObject:
    return {"code": problem.code, "correlation_id": problem.correlation_id}


def _digest(request: ProxyQuestion) -> str:
    parts = [request.method, request.path, request.query, request.body, request.content_type]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _members(given: Mapping[str, Any]) -> list[str]:
    """Return names as they are recorded: what is refused may hold any number of any length."""
    return [name[:_LONGEST_NAME] for name in sorted(given)[:_LONGEST_NAME]]
