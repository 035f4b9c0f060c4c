"""How the dictionary is opened: what a line of `wiring.PROVIDERS` would name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pingone_mcp.directory.scope import Scope
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.wiring import OpenProvider, Provider
from tests.contract.dictionary.company import Company
from tests.contract.dictionary.directory import DictionaryDirectory
from tests.contract.dictionary.source import DictionarySource


def opening(company: Company) -> OpenProvider:
    """Return what opens a company as a provider. It has no API of its own."""

    @asynccontextmanager
    async def open_dictionary(settings: ConnectionSettings, _: str) -> AsyncIterator[Provider]:
        scope = Scope(environments=tuple(sorted(company.environments)), populations=settings.populations)
        yield Provider(
            directory=DictionaryDirectory(company, scope),
            source=DictionarySource(company, scope),
            key="dictionary",
            seal=b"d" * 32,
        )

    return open_dictionary


def opened(company: Company, *, populations: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Provider]:
    """Open a company with nothing configured but, perhaps, the populations that are served."""
    return opening(company)(ConnectionSettings(sandbox=True, populations=populations), "dictionary")
