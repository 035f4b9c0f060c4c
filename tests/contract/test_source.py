"""Every provider keeps every rule of `Source`, so that a local copy of it can be kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.source_rules import CHANGES, READS, SourceRule, SourceTrial
from tests.contract.subjects import NARROWED, PROVIDERS

SUBJECTS = PROVIDERS | NARROWED


@pytest.fixture(scope="module", params=SUBJECTS)
async def unchanged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[SourceTrial]:
    folder = tmp_path_factory.mktemp(request.param)
    subject = SUBJECTS[request.param](folder)
    async with subject.open() as provider:
        yield SourceTrial(source=provider.source, subject=subject, folder=folder)


@pytest.mark.parametrize("rule", READS, ids=lambda rule: rule.__name__)
async def test_a_source_keeps_the_rule(unchanged: SourceTrial, rule: SourceRule) -> None:
    await rule(unchanged)


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("rule", CHANGES, ids=lambda rule: rule.__name__)
async def test_a_source_keeps_the_rule_while_things_happen(name: str, rule: SourceRule, tmp_path: Path) -> None:
    subject = PROVIDERS[name](tmp_path)
    async with subject.open() as provider:
        await rule(SourceTrial(source=provider.source, subject=subject, folder=tmp_path))
