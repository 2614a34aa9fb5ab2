"""The deployment to a local engine: the real CDK command line, the project's own app, then the mends."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offload.aws import sdk
from offload.aws.calls import Rejected
from offload.local import environment, mends, tools
from offload.local.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from offload.local.engine import Engine

STAGE = "local"
STACK = "offload"
_TOOLKIT = "CDKToolkit"
_EVENT = re.compile(r"^\S+ \|\s*(?P<count>\d+/\d+) \|[^|]*\| (?P<state>\w+)\s*\|[^|]*\| (?P<name>\S+)")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was deployed.

    Attributes:
        stack: The stack's name.
        outputs: Its outputs by name.
    """

    stack: str
    outputs: Mapping[str, str]


def deploy(
    engine: Engine,
    *,
    stack: str = STACK,
    variables: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Deployment:
    """Deploy the project's app to a running engine, bootstrapping it first when it is new.

    Args:
        engine: Where to; it must run.
        stack: The stack's name.
        variables: More of the deploying shell's environment, for the app to read.
        progress: Told what is being done.

    Raises:
        NotRunning: The engine does not run.
        LocalError: Node is missing or too old, or the CDK fails: the message ends with what it said.
    """
    progress = progress or Progress()
    layout = engine.layout
    command = str(tools.cdk(layout.project, progress))
    shell = {**_child_environment(engine.env()), **(variables or {})}
    client = _clients(engine)
    if not _exists(_TOOLKIT, client):
        with progress.step("bootstrapping the CDK") as detail:
            # From a folder without cdk.json: next to one, the CDK would synthesise the whole app first.
            argv = [command, "bootstrap", f"aws://{environment.ACCOUNT}/{environment.REGION}", "--no-notices"]
            tools.insist("cdk bootstrap", argv, layout.scratch, shell, _events(detail))
    with progress.step(f"deploying the stack {stack}") as detail:
        detail("synthesising the app")
        layout.outputs.unlink(missing_ok=True)
        argv = [command, "deploy", "--all", "--require-approval", "never", "--no-notices", "--progress", "events"]
        argv += ["--context", f"stage={STAGE}", "--context", f"stack={stack}"]
        argv += ["--app", f'"{sys.executable}" app.py', "--output", str(layout.assembly)]
        argv += ["--outputs-file", str(layout.outputs), "--method", "direct"]
        tools.insist("cdk deploy", argv, layout.project, shell, _events(detail))
    engine.remember_stack(stack)
    mends.enable_ttl(mends.read_template(layout.assembly, stack), stack, client)
    return Deployment(stack, _outputs(layout.outputs, stack))


def _child_environment(engine_env: Mapping[str, str]) -> dict[str, str]:
    variables = dict(os.environ)
    environment.activate(engine_env, variables)
    return {
        **variables,
        # `python3` in the app's own commands is the Python that runs this.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)]),
        "CI": "1",  # plain lines, one event each
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        # Compiling aws-cdk-lib anew costs each synthesis about five seconds.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _clients(engine: Engine) -> Callable[[str], Any]:
    variables = engine.env()

    def build(service: str) -> Any:
        return sdk.client(
            service,
            endpoint_url=engine.endpoint,
            region_name=environment.REGION,
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        )

    return build


def _exists(stack: str, client: Callable[[str], Any]) -> bool:
    describe = sdk.caller("cloudformation", lambda: client("cloudformation"))
    try:
        found = describe("DescribeStacks", {"StackName": stack})["Stacks"]
    except Rejected:
        return False
    return bool(found) and found[0]["StackStatus"].endswith("_COMPLETE")


def _outputs(file: Path, stack: str) -> dict[str, str]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")).get(stack, {}))
    except FileNotFoundError:  # a stack without outputs
        return {}


def _events(detail: Callable[[str], None]) -> Callable[[str], None]:
    """Show the CDK's resource events as `12/40 SendEmail`."""

    def on_line(line: str) -> None:
        match = _EVENT.match(line)
        if match:
            detail(f"{match['count']} {match['name']}")

    return on_line
