import os
import subprocess
import sys

import pytest

import functions
from functions.send_email.handler import send_email
from offload import Permanent
from offload.core.tasks.registry import discover, find_root

NAMES = ["cleanup_expired", "deliver_webhook", "export_report", "resize_image", "send_email"]


def test_every_folder_is_a_task():
    assert set(NAMES) <= set(discover(find_root()))


@pytest.mark.parametrize("name", NAMES)
def test_importing_a_task_loads_no_sdk(name):
    heavy = ("boto3", "botocore", "urllib3", "PIL", "aws_cdk")
    code = f"import sys, functions.{name}.handler; print([m for m in {heavy} if m in sys.modules])"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert ran.stdout == "[]\n"


def test_the_defaults_hold_where_a_task_says_nothing():
    assert send_email.settings.max_concurrency == 10
    assert send_email.settings.batch_size == 10


def test_outside_a_stack_the_bucket_must_be_named(monkeypatch):
    monkeypatch.delenv("OFFLOAD_MANIFEST", raising=False)
    with pytest.raises(Permanent, match="OFFLOAD_MANIFEST"):
        functions.stack()


def test_settings_of_the_deploying_shell(monkeypatch):
    monkeypatch.setenv("OFFLOAD_A", "x")
    monkeypatch.setenv("OFFLOAD_B", "")
    assert functions.from_deployer("OFFLOAD_A", "OFFLOAD_B", "OFFLOAD_C") == {"OFFLOAD_A": "x"}
