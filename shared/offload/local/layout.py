"""Where a local engine keeps its files: under `.offload/` in the project, unless told otherwise."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from offload.local.errors import LocalError

ENGINE_REQUIREMENTS = Path(__file__).with_name("engine.txt")
_HOME = ".offload"
_MARK = "cdk.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one engine.

    Attributes:
        project: The folder that holds `cdk.json` and `app.py`.
        state: Everything one engine keeps. Two engines with two of these know nothing of each other.
    """

    project: Path
    state: Path

    @classmethod
    def find(cls, start: Path | None = None, state: Path | None = None) -> Layout:
        """Find the project that `start` (the working directory by default) lies in.

        Args:
            start: Any folder of the project.
            state: Where this engine keeps its files; `.offload/local` in the project by default.

        Raises:
            LocalError: No folder from there upwards holds a `cdk.json`.
        """
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / _MARK).is_file():
                return cls(folder, state.resolve() if state else folder / _HOME / "local")
        raise LocalError(f"no {_MARK} in {here} or above it: run this inside a clone of the project")

    @property
    def engine_venv(self) -> Path:
        """The engine's virtual environment, one for each minor version of Python: functions run on its interpreter."""
        return self.project / _HOME / f"engine-py{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def engine_python(self) -> Path:
        """The engine's interpreter."""
        return self.engine_venv / "bin" / "python"

    @property
    def record(self) -> Path:
        """What is remembered between two commands, as JSON."""
        return self.state / "engine.json"

    @property
    def lock(self) -> Path:
        """Held by the one command that changes this engine; outside of `state`, which that command may remove."""
        return self.state.with_name(f"{self.state.name}.lock")

    @property
    def log(self) -> Path:
        """What the engine prints, the output of functions included."""
        return self.state / "engine.log"

    @property
    def services(self) -> Path:
        """The services' state, as the engine writes it when it stops."""
        return self.state / "services"

    @property
    def objects(self) -> Path:
        """The contents of S3 buckets."""
        return self.state / "s3"

    @property
    def scratch(self) -> Path:
        """The engine's temporary files, unpacked functions among them; emptied before each start."""
        return self.state / "tmp"

    @property
    def assembly(self) -> Path:
        """The synthesised app of the last deployment here."""
        return self.state / "cdk.out"

    @property
    def outputs(self) -> Path:
        """The stack outputs of the last deployment here, as the CDK writes them."""
        return self.state / "outputs.json"
