"""Connecting to a stack: an error says what to do."""

from __future__ import annotations

import pytest
from moto import mock_aws

from offload import Client, Refused, Unavailable
from offload.aws import sdk


@pytest.fixture
def credentials(monkeypatch):
    """The ordinary configuration of somebody who uses AWS."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "OFFLOAD_STACK"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")


@pytest.mark.usefixtures("credentials")
def test_a_stack_that_is_not_deployed_is_named(monkeypatch):
    with mock_aws():
        with pytest.raises(Refused, match="stack 'offload' is not deployed in this account and region"):
            Client.from_stack()
        monkeypatch.setenv("OFFLOAD_STACK", "other")
        with pytest.raises(Refused, match="stack 'other' is not deployed"):
            Client.from_stack()
        with pytest.raises(Refused, match="stack 'third' is not deployed"):
            Client.from_stack("third")


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(sdk, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(Unavailable, match=r"AWS_ENDPOINT_URL=http://127\.0\.0\.1:9"):
        Client.from_stack()
