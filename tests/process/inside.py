"""The command line within this process, for what needs no process of its own: arguments in, output and status out."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from pingone_mcp.cli import main
from tests.process.programs import Ended, Variables


def inside(*arguments: str, env: Variables) -> Ended:
    """Call `main` with the PINGONE_ variables of an environment; its output is piped, as far as it can tell."""
    out, err = io.BytesIO(), io.BytesIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.TextIOWrapper(out, encoding="utf-8", write_through=True)),
        redirect_stderr(io.TextIOWrapper(err, encoding="utf-8", write_through=True)),
    ):
        for name, value in env.items():
            if name.startswith("PINGONE_"):
                patch.setenv(name, value)
        status = main(arguments)
        end = Ended(status=status, out=out.getvalue().decode(), err=err.getvalue().decode())
    assert "Traceback" not in end.out + end.err
    return end
