"""Every file that is made of the code is what the code says today; `make generated` writes all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import generated
from tests.generated import GENERATORS, HOW, stale
from tests.unmade import CannotBeMade


@pytest.mark.parametrize("name", GENERATORS)
def test_a_generated_file_is_up_to_date(name: str) -> None:
    try:
        found = stale(name)
    except CannotBeMade as reason:
        pytest.skip(str(reason))
    assert not found, "\n".join([*(f"{file} is stale: {HOW}\n{difference}" for file, difference in found.items())])


def test_what_is_stale_is_written_what_is_left_over_removed_and_what_cannot_be_made_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old, over, same = (tmp_path / name for name in ("old", "over", "same"))
    for path in (old, over, same):
        path.write_text("as it was\n", encoding="utf-8")

    def lacking() -> generated.Files:
        raise CannotBeMade("Something is not here.")

    monkeypatch.setattr(generated, "ROOT", tmp_path)
    made = {old: "new\n", same: "as it was\n", **dict.fromkeys([path for path in (over,) if path.exists()])}
    monkeypatch.setattr(generated, "GENERATORS", {"some": lambda: made, "none": lacking})
    assert stale("some").keys() == {"old", "over"}
    assert "-as it was\n+new" in stale("some")["old"]
    generated.main()
    assert (old.read_text("utf-8"), over.exists(), same.read_text("utf-8")) == ("new\n", False, "as it was\n")
    assert capsys.readouterr().out == "some: old, over\nnone: left as it is. Something is not here.\n"
