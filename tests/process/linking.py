"""Connections that a person links at the shell: files of settings, a state folder, and the commands on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.process.inside import inside
from tests.process.programs import Ended, Served, bare


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A person at a shell, who has a state folder; the settings of a company lie in a file, and in no variable."""

    served: Served

    @property
    def env(self) -> dict[str, str]:
        return bare(self.served.home, PINGONE_STATE_DIR=str(self.state))

    @property
    def state(self) -> Path:
        return self.served.home / "state"

    def file(self, **changes: str) -> Path:
        """Write the settings of the company, with changes, into a file."""
        own = self.served.variables(**changes)
        values = {name: value for name, value in own.items() if name.startswith("PINGONE_") and "CACHE" not in name}
        file = self.served.home / "company.env"
        file.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
        file.chmod(0o600)
        return file

    def run(self, *arguments: str, **variables: str) -> Ended:
        return inside(*arguments, env=self.env | variables)

    def link(self, name: str = "acme", *options: str, **changes: str) -> str:
        """Link the company under a name; return the id of the connection."""
        made = self.run("connect", "--name", name, "--env-file", str(self.file(**changes)), "--json", *options)
        identity: str = made.json()["id"]
        return identity
