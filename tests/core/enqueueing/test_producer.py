from __future__ import annotations

import pytest

from offload import DefinitionError, enqueue, use
from offload.core.enqueueing import producer
from offload.core.enqueueing.options import CheckedOptions


def test_a_job_is_enqueued_by_its_tasks_name(recording):
    assert enqueue("work", {"a": 1}, delay="1m", key="k") == "handle"
    (request,) = recording.sent
    assert (request.task, request.payload) == ("work", {"a": 1})
    assert request.options == CheckedOptions(delay="1m", key="k")
    assert (request.read_result, request.max_attempts) == (None, None), "a name alone tells neither"


def test_an_unknown_option_suggests_the_nearest_name(recording):
    with pytest.raises(DefinitionError, match=r"unknown option 'dely' \(did you mean 'delay'\?\)"):
        enqueue("work", {}, dely="1m")
    assert recording.sent == []


def test_the_client_that_was_in_force_is_returned(recording):
    assert use(None) is recording
    assert use(recording) is None


def test_the_client_in_force_is_built_once_and_only_when_asked_for(recording, monkeypatch):
    built = []

    def build():
        built.append(recording)
        return recording

    use(None)
    monkeypatch.setattr(producer, "_build", build)
    assert built == []
    enqueue("work", {})
    enqueue("work", {})
    assert built == [recording]
    assert len(recording.sent) == 2


def test_without_a_client_the_error_says_what_to_call(monkeypatch):
    use(None)
    monkeypatch.setattr(producer, "_build", None)
    with pytest.raises(DefinitionError, match=r"call offload\.use"):
        enqueue("work", {})
