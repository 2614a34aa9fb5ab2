"""A key means its arguments: a use with others is told. And how long a key names its job."""

from __future__ import annotations

import pytest

from offload import DefinitionError, KeyReused, PartlyEnqueued, PayloadError, Retry, State, Unavailable, UnknownTask
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.jobs.idempotency_keys import KEY_WINDOW, LONGEST_KEY_WINDOW, key_item_id
from offload.core.jobs.record import record_ttl
from offload.testing.processes import Killed
from tests.client.dying_producer import dying_client, every_death
from tests.runtime.interference import just_before, right_after
from tests.runtime.scripted_task import ScriptedTask, fail


@pytest.fixture
def work():
    return ScriptedTask(retry=Retry(max_attempts=1))


@pytest.fixture
def pipeline(deploy, work):
    return deploy(work)


def to_key(write):
    return write.id.startswith("key#")


# Other arguments


@pytest.mark.parametrize("stage", ["waits", "succeeded", "failed", "was not sent"])
def test_a_key_with_other_arguments_is_told_and_nothing_is_sent(pipeline, work, stage):
    if stage == "failed":
        work.on_run(1, fail)
    if stage == "was not sent":
        pipeline.queues.fail("send", Unavailable("down"))
        with pytest.raises(Unavailable):
            work.options(key="k").delay("first")
    else:
        work.options(key="k").delay("first")
    if stage in ("succeeded", "failed"):
        pipeline.run_until_idle()
    waiting = len(pipeline.waiting())

    with pytest.raises(
        KeyReused, match=r"key='k' of task 'work' names job '.*', which has other arguments: use another"
    ) as told:
        work.options(key="k").delay("second")

    assert (told.value.task, told.value.key) == ("work", "k")
    assert "key_may_differ=True" in str(told.value)
    assert len(pipeline.waiting()) == waiting
    pipeline.run_until_idle()
    assert "second" not in work.names
    assert work.options(key="k").delay("first").id == told.value.job_id


def test_a_caller_may_say_that_the_arguments_may_differ(pipeline, work):
    first = work.options(key="k").delay("first")
    again = work.options(key="k", key_may_differ=True).delay("second")
    pipeline.run_until_idle()
    assert (again.created, again.result(0)) == (False, "first")
    assert first.id == again.id
    with pytest.raises(KeyReused):
        work.options(key="k").delay("second")


@pytest.mark.parametrize("end", ["cancelled", "expired", "window"])
def test_a_key_that_is_free_again_takes_the_new_arguments(pipeline, work, end):
    first = work.options(key="k", expires="1m").delay("first")
    if end == "cancelled":
        first.cancel()
    elif end == "expired":
        pipeline.clock.advance(61)
    else:
        pipeline.drain()
        pipeline.clock.advance(KEY_WINDOW)
    pipeline.run_until_idle()

    second = work.options(key="k").delay("second")
    assert second.created
    assert work.options(key="k").delay("second").id == second.id
    with pytest.raises(KeyReused):
        work.options(key="k").delay("first")


def test_by_name_and_among_many_it_is_told_too(pipeline, work):
    work.options(key="k").delay("first")
    with pytest.raises(KeyReused):
        pipeline.client.enqueue("work", {"name": "second"}, key="k")
    assert pipeline.client.enqueue("work", {"name": "first"}, key="k").created is False
    with pytest.raises(PartlyEnqueued) as partly:
        pipeline.client.enqueue_many("work", [({"name": "second"}, {"key": "k"})])
    assert isinstance(partly.value.failures[0], KeyReused)


def test_two_producers_that_use_a_key_at_once_with_other_arguments(pipeline, work):
    others = []
    just_before(pipeline.store, "apply", lambda: others.append(work.options(key="k").delay("theirs")), where=to_key)
    with pytest.raises(KeyReused):
        work.options(key="k").delay("mine")
    pipeline.run_until_idle()
    assert work.names == ["theirs"]


def test_an_item_of_a_key_holds_no_argument(pipeline, work):
    work.options(key="k").delay("a secret")
    (item,) = [item for item in pipeline.store.items() if item["id"] == "key#work#k"]
    assert "a secret" not in str(item)
    assert len(item["digest"]) == 32


def test_equal_arguments_of_two_keys_have_digests_that_tell_nothing(pipeline, work):
    for key in ("k", "l"):
        work.options(key=key).delay("1234")
    one, other = (item for item in pipeline.store.items() if item["id"].startswith("key#"))
    assert one["digest"] != other["digest"]
    assert one["salt"] != other["salt"]
    assert len(one["salt"]) == 36


# What is told before a key is reserved


@pytest.mark.parametrize("payload", [{"a": float("nan")}, {"a": object()}, {"a": {(1, 2): 3}}])
def test_what_is_no_json_has_no_digest_and_nothing_is_reserved(pipeline, payload):
    with pytest.raises(PayloadError, match="work: the payload cannot be written as JSON"):
        pipeline.client.send(EnqueueRequest("work", payload, CheckedOptions(key="k")))
    assert pipeline.store.items() == []


def test_an_unknown_task_is_told_before_its_key_is_reserved(pipeline):
    with pytest.raises(UnknownTask):
        pipeline.client.enqueue("wrok", {}, key="k")
    assert pipeline.store.items() == []


def test_a_wrong_lane_is_told_before_its_key_is_reserved(pipeline):
    with pytest.raises(DefinitionError, match="has the lanes default"):
        pipeline.client.enqueue("work", {}, key="k", priority="low")
    assert pipeline.store.items() == []


# The window


@pytest.mark.parametrize(("window", "lasts"), [(None, 86_400), ("1m", 60), ("30d", 30 * 86_400), (3_600, 3_600)])
def test_a_key_names_its_job_for_its_window(pipeline, work, window, lasts):
    first = work.options(key="k", key_window=window).delay("a")
    pipeline.run_until_idle()
    began_at = first.record().created_at

    pipeline.clock.advance_to(began_at + lasts * 1000 - 1)
    # The window is that of the first use.
    assert work.options(key="k", key_window="2h").delay("a").id == first.id
    pipeline.clock.advance_to(began_at + lasts * 1000)
    assert work.options(key="k").delay("a").created


def test_the_window_of_the_task_holds_where_the_call_says_nothing(pipeline, work):
    pipeline.manifest.tasks["work"]["key_window"] = "2h"
    first = work.options(key="k").delay("a")
    pipeline.clock.advance(7_199)
    assert work.options(key="k").delay("a").id == first.id
    pipeline.clock.advance(1)
    assert work.options(key="k").delay("a").created


@pytest.mark.parametrize("window", ["59s", "31d", 0, -1, "soon", float("nan")])
def test_a_wrong_window_is_told(work, window):
    with pytest.raises(DefinitionError, match="key_window"):
        work.options(key="k", key_window=window)


@pytest.mark.parametrize("said", ["yes", 1, None])
def test_whether_arguments_may_differ_is_said_clearly(work, said):
    with pytest.raises(DefinitionError, match="key_may_differ"):
        work.options(key="k", key_may_differ=said)


def test_a_record_outlives_the_longest_window(pipeline):
    now = pipeline.clock.now()
    assert record_ttl(now) > now // 1000 + LONGEST_KEY_WINDOW


# A slow producer


def test_a_slow_producer_does_not_confirm_the_key_of_another_job(pipeline, work):
    """The first producer is slow to confirm.

    Meanwhile its job is cancelled, another producer has the key for a job of its own, and dies before it has sent it.
    """

    def meanwhile():
        (mine,) = pipeline.jobs
        pipeline.client.cancel(mine.id)
        for death in every_death("before"):
            try:
                dying_client(pipeline, death).send(EnqueueRequest("work", {"name": "a"}, CheckedOptions(key="k")))
            except Killed:
                if death.requests[-1] == "send":
                    return

    just_before(pipeline.store, "apply", meanwhile, where=lambda write: "confirmed" in write.set)
    work.options(key="k").delay("a")

    again = work.options(key="k").delay("a")
    pipeline.run_until_idle()

    assert work.names == ["a"]
    assert again.result(0) == "a"


def test_a_slow_producer_does_not_confirm_the_key_of_a_later_window(pipeline, work):
    def meanwhile():
        pipeline.run_until_idle()
        pipeline.clock.advance(KEY_WINDOW + 1)
        pipeline.queues.fail("send", Killed())
        with pytest.raises(Killed):
            work.options(key="k").delay("a")

    just_before(pipeline.store, "apply", meanwhile, where=lambda write: "confirmed" in write.set)
    first = work.options(key="k").delay("a")

    again = work.options(key="k").delay("a")
    pipeline.run_until_idle()

    assert again.id != first.id
    assert again.result(0) == "a"
    assert work.names == ["a", "a"]


def test_a_key_whose_job_has_the_id_of_another_tasks_job_is_told(deploy, work):
    other = ScriptedTask()
    pipeline = deploy(work)
    right_after(
        pipeline.store,
        "apply",
        lambda: pipeline.store.port.change("a", task="other", state=State.PENDING.value),
        where=lambda write: write.id == "a",
    )
    work.options(key="k", id="a").delay("a")
    with pytest.raises(Exception, match="job id 'a' belongs to task 'other'"):
        work.options(key="k").delay("a")
    assert other.runs == []


def test_the_item_of_a_key_has_an_id_that_no_job_has():
    assert key_item_id("work", "k#2") == "key#work#k#2"
