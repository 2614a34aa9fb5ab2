"""One synth for all, in a process of its own: the example tasks, and a few tasks that use every setting.

Tasks that somebody adds to `functions/` are not among them: no test of the library depends on those.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.iam import listed

REPOSITORY = Path(__file__).resolve().parents[2]

EXAMPLES = ("cleanup_expired", "deliver_webhook", "export_report", "resize_image", "send_email")

TASKS = {
    "leaf": "from offload import task\n\n@task\ndef leaf(job: dict | None = None) -> None: ...\n",
    "alert": """
from offload import task

@task(enqueues=("*",))
def alert(job: dict | None = None) -> None: ...
""",
    "nightly": """
from offload import Allow, Cron, Every, Retry, task

@task(
    retry=Retry(max_attempts=3), timeout="15m", batch_size=4, max_concurrency=7, memory=512,
    priorities=("high", "default"), result_ttl="36h", enqueues=("leaf",), on_success="leaf",
    on_failure="alert",
    environment={"GREETING": "hello"},
    allow=(Allow("s3:GetObject", "{bucket}/reports/*"), Allow("dynamodb:Scan", "{table}")),
    schedules=(
        Every("5m", payload={"name": "Åse & Bø's"}),
        Cron("0 2 * * *", payload={"name": '<b>"bold" \\\\</b>'}),
        Cron("0 3 * * MON-FRI", timezone="Europe/Oslo"),
        Cron("0 4 1 * *", enabled=False, payload={"name": "<time>"}),
    ),
)
def nightly(name: str = "") -> None: ...
""",
}

SYNTH = """
import json, sys, zipfile
from pathlib import Path

root, out, context = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
import app
from infra.bundles import Bundle

class Empty:
    importable, known = {}, {}

    def bundle(self, task, importable=(), known=()):
        self.importable[task], self.known[task] = list(importable), dict(known)
        path = root / f"{task}.zip"
        zipfile.ZipFile(path, "w").writestr("empty", "")
        return Bundle(path, f"{len(self.importable):064d}")

app.build(root, bundler=Empty(), outdir=out, context=context).synth()
loaded = sorted({name.partition(".")[0] for name in sys.modules})
Path(out, "seen.json").write_text(json.dumps({"modules": loaded, "importable": Empty.importable, "known": Empty.known}))
"""


def clean_environment() -> dict[str, str]:
    """No credentials, no docker, no AWS settings: synth needs none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_", "OFFLOAD_"))}
    library = os.pathsep.join((str(REPOSITORY / "shared"), str(REPOSITORY)))
    return {**kept, "PYTHONPATH": library, "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1"}


@pytest.fixture(scope="session")
def environment():
    return clean_environment()


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def assembly(tmp_path_factory):
    """The folder of the synthesised app, for stage prod."""
    root = tmp_path_factory.mktemp("project")
    for name in EXAMPLES:
        source = REPOSITORY / "functions" / name
        shutil.copytree(source, root / "functions" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "functions" / "__init__.py", root / "functions")
    for name, source in TASKS.items():
        (root / "functions" / name).mkdir()
        (root / "functions" / name / "handler.py").write_text(source)
    flags = json.loads((REPOSITORY / "cdk.json").read_text())["context"]
    context = {**flags, "stage": "prod", "alarm_email": "ops@example.org", "python": "3.13"}
    out = root / "cdk.out"
    command = [sys.executable, "-c", SYNTH, str(root), str(out), json.dumps(context)]
    done = subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def flat(value: Any) -> str:
    """Write a resolved value as one text; what CloudFormation fills in becomes `<Name>` or `<Name.Attribute>`."""
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return separator.join(map(flat, parts))
        case {"Fn::Select": [index, {"Fn::Split": [separator, text]}]}:
            return f"{flat(text)[:-1]}{separator}{index}>"
        case _:
            return str(value)


class Template:
    """The synthesised template, as data."""

    def __init__(self, text: str) -> None:
        self.resources: dict[str, Any] = json.loads(text)["Resources"]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a type, by logical id."""
        return {name: item["Properties"] for name, item in self.resources.items() if item["Type"] == kind}

    @staticmethod
    def flat(value):
        return flat(value)

    def role_of(self, task: str) -> dict[str, Any]:
        """Return the role of a task's function."""
        return self.one("AWS::IAM::Role", Description=f"Function of task {task}")

    def statements(self, task: str) -> list[tuple[set[str], set[str], Any]]:
        """Return actions, resources and conditions of each statement of a task's role."""
        policies = (policy["PolicyDocument"]["Statement"] for policy in self.role_of(task)["Policies"])
        return [
            (set(listed(item["Action"])), {flat(arn) for arn in listed(item["Resource"])}, item.get("Condition"))
            for statements in policies
            for item in statements
        ]

    def one(self, kind: str, **properties: object) -> dict[str, Any]:
        """Return the properties of the one resource of a type with these."""
        found = [item for item in self.all(kind).values() if properties.items() <= item.items()]
        assert len(found) == 1, (kind, properties, len(found))
        return found[0]

    def name_of(self, kind: str, **properties: object) -> str:
        """Return the logical id of the one resource of a type with these properties."""
        found = [name for name, item in self.all(kind).items() if properties.items() <= item.items()]
        assert len(found) == 1, (kind, properties, found)
        return found[0]


@pytest.fixture(scope="session")
def template(assembly):
    return Template((assembly / "Offload.template.json").read_text())


@pytest.fixture(scope="session")
def tasks():
    """Names of all tasks in the synthesised stack."""
    return sorted([*EXAMPLES, *TASKS])
