"""The command line within this process, for what needs no process of its own: arguments in, output and status out."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pingone_mcp.advice import setting
from pingone_mcp.cli import main
from tests.process.programs import Ended, Variables

# What a process that the command line starts is found by.
_OURS = {"PATH", "PYTHONPATH"}


def inside(*arguments: str, env: Variables, cwd: Path | None = None, stdin: str = "") -> Ended:
    """Call `main` as `run` does in a process of its own: with this environment only, its three streams being pipes."""
    out, err = io.BytesIO(), io.BytesIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.TextIOWrapper(out, encoding="utf-8", write_through=True)),
        redirect_stderr(io.TextIOWrapper(err, encoding="utf-8", write_through=True)),
    ):
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        for name in os.environ.keys() - env.keys() - _OURS:
            patch.delenv(name)
        for name, value in {"COLUMNS": "80", **env}.items():  # a pipe has no width; who runs the tests may have one
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        status = _status(arguments)
        end = Ended(status=status, out=out.getvalue().decode(), err=err.getvalue().decode())
    assert "Traceback" not in end.out + end.err
    assert setting("")[0] not in end.out + end.err, "a setting that nobody has spelled"
    return end


def _status(arguments: tuple[str, ...]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:  # of help, and of what cannot be parsed
        return int(end.code or 0)
