"""A question is answered once, in time, about the same request, and by the one whom it was put to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pingone_mcp.service.questions import Addressee, Questions

ASKED = Addressee(connection="acme", client=("Claude", "1.0"), principal='["acme-app","ann"]')
REQUEST = "digest of a request"


def waiting(questions: Questions) -> Questions:
    questions.wait("state", questions.ask("Send this?", REQUEST, ASKED))
    return questions


def test_it_is_taken_once() -> None:
    questions = waiting(Questions(now=lambda: 0.0))
    taken = questions.take("state", REQUEST, ASKED)
    assert taken is not None
    assert taken.text == "Send this?"
    assert questions.take("state", REQUEST, ASKED) is None


@pytest.mark.parametrize(
    "other",
    [
        {"connection": "globex"},
        {"client": ("Claude", "1.1")},
        {"client": None},
        {"principal": None},
        {"principal": "bob"},
    ],
    ids=str,
)
def test_nobody_else_takes_it(other: dict[str, Any]) -> None:
    questions = waiting(Questions(now=lambda: 0.0))
    assert questions.take("state", REQUEST, replace(ASKED, **other)) is None
    assert questions.take("state", REQUEST, ASKED) is not None


def test_it_is_about_one_request_and_known_by_its_state() -> None:
    questions = waiting(Questions(now=lambda: 0.0))
    assert questions.take("state", "digest of another", ASKED) is None
    assert questions.take("another state", REQUEST, ASKED) is None


def test_it_does_not_wait_for_ever() -> None:
    clock = [0.0]
    questions = waiting(Questions(now=lambda: clock[0]))
    clock[0] = 601.0
    assert questions.take("state", REQUEST, ASKED) is None
