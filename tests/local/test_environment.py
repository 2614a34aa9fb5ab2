import os
import subprocess

import pytest

from offload.local import environment
from offload.local.key import Key
from offload.local.layout import Layout

KEY = Key("OFFLOAD01", "a secret")


def test_clients_are_pointed_at_loopback_with_the_key_of_the_engine():
    variables = environment.for_clients(4567, KEY, "offload", {})
    assert variables == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4567",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4567",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "OFFLOAD01",
        "AWS_SECRET_ACCESS_KEY": "a secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "OFFLOAD_STACK": "offload",
    }
    assert "OFFLOAD_STACK" not in environment.for_clients(4567, KEY, None, {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [("", "127.0.0.1,localhost"), ("intra.example, localhost", "intra.example,localhost,127.0.0.1")],
)
def test_loopback_is_kept_out_of_a_proxy(given, expected):
    around = {"https_proxy": "http://proxy:3128", "NO_PROXY": given}
    assert environment.for_clients(1, KEY, None, around)["NO_PROXY"] == expected
    assert environment.for_clients(1, KEY, None, around)["no_proxy"] == expected


def test_a_shell_that_evaluates_it_speaks_to_the_engine_and_to_nothing_else():
    before = {
        "PATH": os.environ["PATH"],
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "x",
        "AWS_ENDPOINT_URL_SQS": "http://elsewhere",
    }
    text = environment.as_shell(
        environment.for_clients(4567, KEY, "it's mine", before), environment.interfering(before)
    )
    shell = subprocess.run(["sh", "-c", f"{text}\nenv"], env=before, capture_output=True, text=True, check=True)
    after = dict(line.split("=", 1) for line in shell.stdout.splitlines())
    assert {
        name: value for name, value in after.items() if name.startswith(("AWS_", "OFFLOAD_"))
    } == environment.for_clients(4567, KEY, "it's mine", {})


def test_the_process_points_elsewhere_only_inside_the_block(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "prod")
    with environment.pointing_at({"AWS_REGION": "us-east-1"}):
        assert "AWS_PROFILE" not in os.environ
        assert os.environ["AWS_REGION"] == "us-east-1"
    assert os.environ["AWS_PROFILE"] == "prod"


def test_the_engine_is_bound_to_loopback_and_inherits_no_secret(tmp_path):
    around = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "real",
        "PYTHONPATH": "/x",
        "VIRTUAL_ENV": "/y",
        "GITHUB_TOKEN": "z",
    }
    variables = environment.for_engine(Layout(tmp_path, tmp_path / "state"), 4567, KEY, around)
    assert variables["BIND_HOST"] == "127.0.0.1"
    assert variables["GATEWAY_PORT"] == "4567"
    assert variables["STATE_DIR"].startswith(str(tmp_path))
    assert variables["AWS_SECRET_ACCESS_KEY"] == KEY.secret_key
    assert not {"PYTHONPATH", "VIRTUAL_ENV", "GITHUB_TOKEN"} & set(variables)
