"""Every provider, and the local copy of each, keeps every rule of `Directory`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.rules import RULES, Rule, Trial
from tests.contract.subjects import NARROWED, PROVIDERS, copied, live
from tests.depth import sampled

SUBJECTS = PROVIDERS | NARROWED


@pytest.fixture(scope="module", params=[f"{name} {kind}" for name in SUBJECTS for kind in ("live", "copied")])
async def trial(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trial]:
    name, kind = str(request.param).split()
    folder = tmp_path_factory.mktemp(name)
    subject = SUBJECTS[name](folder)
    async with live(subject) if kind == "live" else copied(subject, folder) as opened:
        yield opened


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@sampled(3)
async def test_a_directory_keeps_the_rule(trial: Trial, rule: Rule) -> None:
    await rule(trial)
