"""A file of settings to fill in: what `pingone-mcp guide settings` prints, and what `.env.example` of a checkout is."""

from __future__ import annotations

import textwrap

from pingone_mcp.advice import variable
from pingone_mcp.settings import ServeSettings, Settings

REQUIRED = ("environment_id", "client_id", "client_secret")
_WIDTH = 120
_HEAD = """\
# Settings for `pingone-mcp --env-file FILE`. Copy this file, fill in the first three, and keep it out of version
# control: it holds a secret. A file named .env is never read unless it is named; variables of the environment win.
# Put a value that holds $, # or spaces in single quotes."""


def template() -> str:
    """Return a file for --env-file: each setting with its meaning; the required ones empty, the others as examples."""
    optional = [name for name in Settings.model_fields if name not in REQUIRED]
    return "\n\n".join(
        [
            _HEAD,
            "# Required",
            *(f"{_meaning(Settings, name)}\n{variable(name, '')}" for name in REQUIRED),
            "# Optional; each line shows an example, not the default",
            *(_commented(Settings, name) for name in optional),
            "# Of `pingone-mcp serve` and what is linked for it, whatever connection they are about; examples too",
            *(_commented(ServeSettings, name) for name in ServeSettings.model_fields),
            "",
        ]
    ).removesuffix("\n")


_Kind = type[Settings | ServeSettings]


def _commented(kind: _Kind, name: str) -> str:
    return f"{_meaning(kind, name)}\n# {variable(name, _example(kind, name))}"


def _meaning(kind: _Kind, name: str) -> str:
    meaning = kind.model_fields[name].description or ""
    return textwrap.fill(
        meaning, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False, break_long_words=False
    )


def _example(kind: _Kind, name: str) -> str:
    example = str((kind.model_fields[name].examples or [""])[0])
    return f"'{example}'" if set(example) & set('$# "{') else example
