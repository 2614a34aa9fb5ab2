from __future__ import annotations

import pytest

from offload import Refused, UnknownTask
from offload.core.manifest import Manifest, dead_letter_name, parameter_name, queue_name

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


def test_no_lane_shares_its_queue_with_a_dead_letter_queue():
    lanes = ("default", "high", "low")
    names = [name for lane in lanes for name in (queue_name("s", "t", lane), dead_letter_name("s", "t", lane))]
    assert len(set(names)) == len(names)
