"""A command that needs a package of an extra says which extra; a package that is broken is not called missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pingone_mcp.errors import MissingExtra, Unconfigured
from pingone_mcp.extras import load_extra


def test_what_is_there_is_loaded() -> None:
    assert load_extra("xml.dom.minidom", "xlsx") is sys.modules["xml.dom.minidom"]


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner.part"])
def test_what_is_missing_names_the_package_and_the_extra_and_how_to_get_it(module: str) -> None:
    with pytest.raises(MissingExtra) as missing:
        load_extra(module, "xlsx")
    said = str(missing.value)
    assert "the package no_such_package, which comes with the extra `xlsx`" in said
    assert "pingone-mcp[xlsx]" in said
    assert isinstance(missing.value, Unconfigured), "the exit status is that of a wrong configuration"


def test_a_package_that_lacks_something_itself_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_extra_package.py").write_text("import something_else_that_is_missing\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_else"):
        load_extra("broken_extra_package", "xlsx")
