"""The CDK app: `cdk deploy` builds one stack from the tasks under `functions/`.

Context (`-c name=value`): `stage` dev, prod or local; `stack` its name; `python` the functions' version;
`alarm_email` who hears of alarms.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

HOME = Path(__file__).resolve().parent

if find_spec("aws_cdk") is None:
    # `cdk` runs whichever python3 is first on the path; the project's packages are in its own environment.
    PROJECT_PYTHON = HOME / ".venv" / "bin" / "python"
    if not PROJECT_PYTHON.is_file() or Path(sys.prefix).resolve() == PROJECT_PYTHON.parent.parent.resolve():
        sys.exit("offload: aws-cdk-lib is not installed: run `make install`")
    os.execv(PROJECT_PYTHON, [str(PROJECT_PYTHON), *sys.argv])  # noqa: S606 - the same script, the right interpreter

# Works from a fresh clone too, where the library is not installed.
sys.path[:0] = [path for path in (str(HOME), str(HOME / "shared")) if path not in sys.path]

import aws_cdk as cdk  # noqa: E402 - after the path is set
from cdk_nag import AwsSolutionsChecks  # noqa: E402

from infra.stack import OffloadStack  # noqa: E402
from infra.stages import choose  # noqa: E402
from offload import DefinitionError  # noqa: E402

if TYPE_CHECKING:
    from infra.bundles import Bundler


def build(root: Path = HOME, *, bundler: Bundler | None = None, **props: Any) -> cdk.App:
    """Build the app.

    Args:
        root: Folder with the project's `functions/`.
        bundler: Builds the functions' code; None takes the stage's own.
        **props: Handed to `cdk.App`.

    Raises:
        DefinitionError: A task, a setting or a context value is wrong; names it.
    """
    app = cdk.App(**props)
    OffloadStack(app, "Offload", root=root, stage=choose(app.node.try_get_context), bundler=bundler)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def main() -> None:
    """Write the cloud assembly, or say in one line what is wrong."""
    try:
        build().synth()
    except DefinitionError as error:
        sys.exit(f"offload: {error}")


if __name__ == "__main__":
    main()
