"""The CDK app: `cdk deploy` builds one stack from the tasks under `functions/`.

Context (`-c name=value`): `stage` dev, prod or local; `stack` its name; `python` the functions' version;
`alarm_email` who hears of alarms.
"""

from __future__ import annotations

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
# Works from a fresh clone too, where the library is not installed.
sys.path[:0] = [path for path in (str(HOME), str(HOME / "shared")) if path not in sys.path]

import aws_cdk as cdk  # noqa: E402 - after the path is set
from cdk_nag import AwsSolutionsChecks  # noqa: E402

from infra.stack import OffloadStack  # noqa: E402
from infra.stages import choose  # noqa: E402
from offload import DefinitionError  # noqa: E402


def main() -> None:
    """Write the cloud assembly."""
    app = cdk.App()
    try:
        stage = choose(app.node.try_get_context)
        OffloadStack(app, "Offload", root=HOME, stage=stage)
    except DefinitionError as error:
        sys.exit(f"offload: {error}")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
