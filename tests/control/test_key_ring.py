"""The key file: made once for this user only, refused where it is not safe, never lost in the middle of a change."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pingone_mcp.control.key_ring import ForeignKeys, KeyFile, KeyRing, decrypt, derived, encrypt
from pingone_mcp.errors import Unconfigured
from tests.process.programs import PATIENCE

KEY, OTHER = b"k" * 32, b"o" * 32


def line(key: bytes) -> bytes:
    return base64.urlsafe_b64encode(key) + b"\n"


def written(path: Path, content: bytes, mode: int = 0o600) -> KeyFile:
    path.write_bytes(content)
    path.chmod(mode)
    return KeyFile(path)


def test_a_ring_is_made_once_and_for_this_user_only(key_file: KeyFile) -> None:
    assert key_file.read() is None
    made = key_file.make()
    assert key_file.make() == made == key_file.read()
    assert key_file.path.stat().st_mode & 0o777 == 0o600
    assert len(base64.urlsafe_b64decode(key_file.path.read_bytes().strip())) == 32


def test_a_ring_that_is_there_needs_a_folder_to_read_only(tmp_path: Path) -> None:
    file = written(tmp_path / "keys", line(KEY))
    (tmp_path / "keys.lock").mkdir()  # root may write anywhere: this keeps even root from making the lock
    assert file.make() == KeyRing.of(KEY)
    with pytest.raises(Unconfigured, match="cannot be written"):
        file.change(lambda ring: [OTHER, *ring.keys.values()])


def test_a_ring_may_be_written_by_hand(tmp_path: Path) -> None:
    by_hand = line(KEY).strip(b"=\n") + b"\r\n\n  " + line(OTHER)
    ring = written(tmp_path / "keys", by_hand).read()
    assert ring == KeyRing.of(KEY, OTHER)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "holds no key"),
        (b"\n", "holds no key"),
        (line(KEY) + b"secret words", "has a line that is no key"),
        (line(b"short"), "has a line that is no key"),
        (b"\xff\xfe", "has a line that is no key"),
    ],
)
def test_a_file_that_is_no_ring_is_refused_without_its_text(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(Unconfigured, match=what) as refused:
        written(tmp_path / "keys", content).read()
    assert "secret words" not in str(refused.value)
    assert "PINGONE_KEY_FILE" in str(refused.value)


@pytest.mark.skipif(sys.platform == "win32", reason="access lists instead of modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602])
def test_a_ring_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(Unconfigured, match=r"is open to others\. .*mode 0600"):
        written(tmp_path / "keys", line(KEY), mode).read()


def test_a_link_and_a_second_name_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "real", line(KEY))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(Unconfigured, match="link is a link"):
        KeyFile(tmp_path / "link").read()
    with pytest.raises(Unconfigured, match="link is a link"):
        KeyFile(tmp_path / "link").make()
    (tmp_path / "second").hardlink_to(tmp_path / "real")
    with pytest.raises(Unconfigured, match="has a second name"):
        KeyFile(tmp_path / "second").read()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_ring_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path / "keys", line(KEY))
    os.chown(file.path, 12345, 12345)
    with pytest.raises(Unconfigured, match="belongs to somebody else"):
        file.read()


def test_nothing_shows_a_key() -> None:
    ring = KeyRing.of(KEY)
    assert repr(ring) == "KeyRing()"
    assert KEY.hex()[:8] not in ring.current
    assert ring.current not in derived(KEY, "id of a key").hex()[16:]


def test_what_is_wrapped_opens_for_its_owner_and_by_its_key_only() -> None:
    ring = KeyRing.of(KEY, OTHER)
    first, second = ring.keys
    wrapped = ring.wrap(b"d" * 32, "a", by=first)
    assert ring.unwrap(wrapped, "a", by=first) == b"d" * 32
    for owner, by in (("b", first), ("a", second), ("a", "no such key")):
        with pytest.raises(ForeignKeys):
            ring.unwrap(wrapped, owner, by=by)
    with pytest.raises(ForeignKeys):
        decrypt(KEY, b"", b"")


def test_the_same_text_is_never_sealed_alike() -> None:
    assert encrypt(KEY, b"text", b"") != encrypt(KEY, b"text", b"")


def test_each_use_has_a_key_of_its_own() -> None:
    assert len({derived(KEY, "a"), derived(KEY, "b"), derived(OTHER, "a")}) == 3


def test_processes_that_make_a_ring_at_once_agree(key_file: KeyFile) -> None:
    program = (
        "import sys; from pathlib import Path; from pingone_mcp.control.key_ring import KeyFile;"
        "sys.stdin.readline(); print(KeyFile(Path(sys.argv[1])).make().current)"
    )
    command = [sys.executable, "-c", program, str(key_file.path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ends = [one.communicate("\n", timeout=PATIENCE) for one in started]
    assert len(set(ends)) == 1, ends
    assert not ends[0][1]


def test_a_change_needs_the_file(key_file: KeyFile) -> None:
    with pytest.raises(Unconfigured, match=r"The key file .* is missing, or is not the one"):
        key_file.change(lambda ring: list(ring.keys.values()))


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unconfigured, match=r"The key file .* cannot be "):
        KeyFile(tmp_path / "file" / "keys").make()
