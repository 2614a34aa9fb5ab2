from __future__ import annotations

from dataclasses import replace

import pytest

from offload import Refused, UnknownTask
from offload.core.manifest import Manifest, dead_letter_name, parameter_name, queue_name, undelivered_name

MANIFEST = Manifest(
    stack="s",
    account="1",
    region="eu-west-1",
    table="jobs",
    bucket="bucket",
    tasks={"work": {"priorities": ["default", "high"]}, "plain": {}},
    timers={"group": "g", "role": "r"},
)


def test_what_is_written_is_read():
    assert Manifest.load(MANIFEST.dump()) == MANIFEST


def test_fields_of_a_later_deploy_are_ignored():
    assert Manifest.load(MANIFEST.dump()[:-1] + ',"colour":"red"}') == MANIFEST


@pytest.mark.parametrize("text", ["{}", '{"version": 2}', '{"version": "1"}'])
def test_another_version_is_refused(text):
    with pytest.raises(Refused, match="another version"):
        Manifest.load(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"version": 1}',
        MANIFEST.dump().replace('"table"', '"desk"'),
        MANIFEST.dump().replace('"tasks":"', '"tasks":"x'),
    ],
)
def test_another_form_is_refused_too(text):
    with pytest.raises(Refused, match="another version") as told:
        Manifest.load(text)
    assert not told.value.lasting, "a deployment mends it"


def test_a_manifest_without_tasks_does_not_speak_of_them():
    bare = replace(MANIFEST, tasks={})
    assert "tasks" not in bare.dump()
    assert Manifest.load(bare.dump()) == bare


def test_of_many_tasks_the_nearest_are_told():
    many = replace(MANIFEST, tasks={f"task_{number}": {} for number in range(400)} | {"send_email": {}})
    with pytest.raises(UnknownTask, match=r"stack 's': it has 401 others \(did you mean 'send_email'\?\)$"):
        many.task("send_emial")
    with pytest.raises(UnknownTask, match=r"it has 401 others$"):
        many.task("zzz")


@pytest.mark.parametrize(
    ("task", "lane", "there"),
    [
        ("work", None, True),
        ("work", "high", True),
        ("work", "low", False),
        ("plain", "default", True),
        ("plain", "high", False),
        ("wrok", None, False),
    ],
)
def test_lanes_are_looked_up(task, lane, there):
    assert MANIFEST.has_lane(task, lane) is there


def test_an_unknown_task_is_told_with_those_there_are():
    assert MANIFEST.lanes("work") == ["default", "high"]
    assert MANIFEST.lanes("plain") == ["default"]
    with pytest.raises(UnknownTask, match="task 'wrok' is not deployed in stack 's': it has plain, work"):
        MANIFEST.lanes("wrok")


def test_names():
    assert parameter_name("s") == "/offload/s/manifest"
    assert queue_name("s", "work") == "s-work"
    assert queue_name("s", "work", "high") == "s-work-high"
    assert dead_letter_name("s", "work", "high") == "s-work-high-dlq"
    assert undelivered_name("s") == "s-Undelivered"


@pytest.mark.parametrize(
    ("stack", "task", "lane"), [("s", "work", "default"), ("s-work", "work", "high"), ("a-b", "b_c", "x")]
)
def test_a_queues_name_tells_its_task(stack, task, lane):
    assert replace(MANIFEST, stack=stack).task_of(queue_name(stack, task, lane)) == task


def test_no_lane_shares_its_queue_with_a_dead_letter_queue():
    lanes = ("default", "high", "low")
    names = [name for lane in lanes for name in (queue_name("s", "t", lane), dead_letter_name("s", "t", lane))]
    assert len(set(names)) == len(names)
