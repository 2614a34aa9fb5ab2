"""The CDK app: `cdk deploy` builds one stack from the tasks under `functions/`.

Context values (`-c name=value`):

| name          | value                                                 |
|---------------|-------------------------------------------------------|
| `stage`       | `dev`, `prod` or `local`                              |
| `stack`       | name of the stack                                     |
| `python`      | Python version of the functions, such as `3.13`       |
| `alarm_email` | address that gets alarms by mail                      |
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

HOME = Path(__file__).resolve().parent

if find_spec("aws_cdk") is None:
    # `cdk` runs the first `python3` on the path, but the project's packages are in the project's own environment.
    PROJECT_PYTHON = HOME / ".venv" / "bin" / "python"
    if not PROJECT_PYTHON.is_file() or Path(sys.prefix).resolve() == PROJECT_PYTHON.parent.parent.resolve():
        sys.exit("offload: aws-cdk-lib is not installed: run `make synth`, which installs the project's packages")
    os.execv(PROJECT_PYTHON, [str(PROJECT_PYTHON), *sys.argv])

# With these paths, the app also works in a fresh clone, in which the library is not installed.
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
        bundler: Builds the code of the functions; None means a bundler for the stage's target.
        **props: Arguments of `cdk.App`.

    Raises:
        DefinitionError: A task, a setting or a context value is wrong. The message names it.
    """
    app = cdk.App(**props)
    OffloadStack(app, "Offload", root=root, stage=choose(app.node.try_get_context), bundler=bundler)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def main() -> None:
    """Write the cloud assembly, or print one line that says what is wrong."""
    try:
        build().synth()
    except DefinitionError as error:
        sys.exit(f"offload: {error}")


if __name__ == "__main__":
    main()
