"""The deployment to a local engine: the real CDK command line deploys the project's app, then workarounds follow."""

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
from offload.local import environment, tools, workarounds
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
    """A finished deployment.

    Attributes:
        stack: The stack's name.
        outputs: The stack's outputs by name.
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
    """Deploy the project's app to a running engine. A new engine is bootstrapped first.

    Args:
        engine: The engine, which must run.
        stack: The stack's name.
        variables: Further environment variables for the app.
        progress: Shows the steps.

    Raises:
        NotRunning: The engine does not run.
        LocalError: Node is missing or too old, or the CDK fails. The message ends with the CDK's last lines.
    """
    progress = progress or Progress()
    layout = engine.layout
    command = str(tools.cdk(layout.project, progress))
    cdk_environment = {**_cdk_environment(engine.env()), **(variables or {})}
    client = _client_builder(engine)
    engine.begin_deployment()
    if not _is_deployed(_TOOLKIT, client):
        with progress.step("bootstrapping the CDK") as show_detail:
            argv = [command, "bootstrap", f"aws://{environment.ACCOUNT}/{environment.REGION}", "--no-notices"]
            # In a folder with a cdk.json, the CDK would synthesise the whole app before the bootstrap.
            tools.run_or_fail("cdk bootstrap", argv, layout.scratch, cdk_environment, _show_events(show_detail))
    with progress.step(f"deploying the stack {stack}") as show_detail:
        show_detail("synthesising the app")
        layout.outputs.unlink(missing_ok=True)
        argv = [command, "deploy", "--all", "--require-approval", "never", "--no-notices", "--progress", "events"]
        argv += ["--context", f"stage={STAGE}", "--context", f"stack={stack}"]
        argv += ["--app", f'"{sys.executable}" app.py', "--output", str(layout.assembly)]
        argv += ["--outputs-file", str(layout.outputs), "--method", "direct"]
        tools.run_or_fail("cdk deploy", argv, layout.project, cdk_environment, _show_events(show_detail))
    workarounds.enable_ttl(workarounds.read_template(layout.assembly, stack), stack, client)
    engine.end_deployment(stack)
    return Deployment(stack, _read_outputs(layout.outputs, stack))


def _cdk_environment(engine_env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the CDK: this process's variables, pointed at the engine."""
    variables = dict(os.environ)
    environment.activate(engine_env, variables)
    return {
        **variables,
        # The app's own commands use `python3`, which must be the Python that runs this module.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)]),
        "CI": "1",  # the CDK then prints each event as one plain line
        "CDK_DISABLE_CLI_TELEMETRY": "1",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        # Without the bytecode of aws-cdk-lib, each synthesis takes about five seconds longer.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _client_builder(engine: Engine) -> Callable[[str], Any]:
    """Return a function that builds a boto3 client of the engine by service."""
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


def _is_deployed(stack: str, client: Callable[[str], Any]) -> bool:
    cloudformation = sdk.caller("cloudformation", lambda: client("cloudformation"))
    try:
        found = cloudformation("DescribeStacks", {"StackName": stack})["Stacks"]
    except Rejected:
        return False
    return bool(found) and found[0]["StackStatus"].endswith("_COMPLETE")


def _read_outputs(file: Path, stack: str) -> dict[str, str]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")).get(stack, {}))
    except FileNotFoundError:  # the CDK writes no file when the stack has no outputs
        return {}


def _show_events(show_detail: Callable[[str], None]) -> Callable[[str], None]:
    """Return a function that shows each resource event of the CDK's output, such as `12/40 SendEmail`."""

    def on_line(line: str) -> None:
        match = _EVENT.match(line)
        if match:
            show_detail(f"{match['count']} {match['name']}")

    return on_line
