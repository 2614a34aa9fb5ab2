"""The app as a whole: clean by the rules of others, and built with nothing but what it needs."""

import json
import subprocess
import sys


def test_synth_loads_no_sdk(assembly):
    loaded = json.loads((assembly / "seen.json").read_text())["modules"]
    assert "aws_cdk" in loaded
    assert not {"boto3", "botocore", "aws_lambda_powertools"} & set(loaded)


def test_nothing_is_asked_of_an_account(assembly):
    manifest = json.loads((assembly / "manifest.json").read_text())
    assert not manifest.get("missing")
    assert manifest["artifacts"]["Offload"]["environment"] == "aws://unknown-account/unknown-region"


def test_cdk_nag_has_no_open_finding(assembly):
    (report,) = json.loads((assembly / "validation-report.json").read_text())["pluginReports"]
    assert report["pluginName"] == "AwsSolutions"
    assert report["conclusion"] == "success"
    assert not [item for item in report["violations"] if not item.get("suppressed") and item["severity"] == "error"]


def test_cfn_lint_has_nothing_to_say(assembly):
    lint = "import sys; from cfnlint.runner import main; sys.exit(main())"
    command = [sys.executable, "-c", lint, str(assembly / "Offload.template.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_context_is_said_in_one_line(repository, environment, tmp_path):
    settings = {**environment, "CDK_CONTEXT_JSON": '{"stage": "staging"}', "CDK_OUTDIR": str(tmp_path)}
    command = [sys.executable, str(repository / "app.py")]
    done = subprocess.run(command, env=settings, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "offload: stage='staging': choose from dev, prod, local"
    assert "Traceback" not in done.stderr
