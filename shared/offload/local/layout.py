"""The paths of a local engine's files: under `.offload/` in the project by default."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from offload.local.errors import LocalError

ENGINE_REQUIREMENTS = Path(__file__).with_name("engine.txt")
_FOLDER = ".offload"
_PROJECT_FILE = "cdk.json"
"""The folder that contains this file is the project."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one engine.

    Attributes:
        project: The folder that contains `cdk.json` and `app.py`.
        state: The folder for all files of one engine. Engines with different folders are independent.
    """

    project: Path
    state: Path

    @classmethod
    def find(cls, start: Path | None = None, state: Path | None = None) -> Layout:
        """Find the project to which a folder belongs, and return the paths of its engine.

        Args:
            start: Any folder of the project; None means the working directory.
            state: The folder for the engine's files; None means `.offload/local` in the project.

        Raises:
            LocalError: Neither this folder nor a folder above it contains a `cdk.json`.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / _PROJECT_FILE).is_file():
                return cls(folder, state.resolve() if state else folder / _FOLDER / "local")
        raise LocalError(f"no {_PROJECT_FILE} in {start} or above it: run this inside a clone of the project")

    @property
    def engine_venv(self) -> Path:
        """The engine's virtual environment. Functions run on its interpreter, so each Python version has its own."""
        return self.project / _FOLDER / f"engine-py{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def engine_python(self) -> Path:
        """The engine's interpreter."""
        return self.engine_venv / "bin" / "python"

    @property
    def record(self) -> Path:
        """The engine's record, as JSON; see `offload.local.record`."""
        return self.state / "engine.json"

    @property
    def key(self) -> Path:
        """The key that programs sign their requests to the engine with; see `offload.local.key`."""
        return self.state / "key.json"

    @property
    def lock(self) -> Path:
        """The lock file. A command that changes the engine holds it. It is not in `state`, which may be removed."""
        return self.state.with_name(f"{self.state.name}.lock")

    @property
    def log(self) -> Path:
        """The log of the engine, with the output of functions."""
        return self.state / "engine.log"

    @property
    def services(self) -> Path:
        """The state of the services; the engine writes it when it stops."""
        return self.state / "services"

    @property
    def objects(self) -> Path:
        """The contents of S3 buckets."""
        return self.state / "s3"

    @property
    def scratch(self) -> Path:
        """The engine's temporary files, such as unpacked functions; the folder is emptied before each start."""
        return self.state / "tmp"

    @property
    def assembly(self) -> Path:
        """The synthesised app of the last deployment to this engine."""
        return self.state / "cdk.out"

    @property
    def outputs(self) -> Path:
        """The outputs of the last deployment to this engine, as the CDK writes them."""
        return self.state / "outputs.json"
