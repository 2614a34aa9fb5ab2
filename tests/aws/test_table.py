from __future__ import annotations

import pytest

from offload.aws.calls import Ambiguous
from offload.aws.table import JobTable, compile_update
from offload.core.writes import Conflict, Test, Write
from offload.memory.clock import VirtualClock


class Answers:
    """A transport that gives or raises what it is told, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, operation, params):
        self.asked.append((operation, params))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_write_is_one_update_with_placeholders_only():
    write = Write(
        "a",
        ((Test("state", "absent"),), (Test("state", "=", "RUNNING"), Test("until", "<=", 5), Test("lease", "<>", "x"))),
        set={"state": "RUNNING"},
        default={"created": 1},
        add={"attempt": 1},
        append={"history": [1]},
        remove=("idx",),
    )
    assert compile_update(write) == {
        "UpdateExpression": (
            "SET #0 = :0, #1 = if_not_exists(#1, :1), #2 = list_append(if_not_exists(#2, :2), :3) ADD #3 :4 REMOVE #4"
        ),
        "ConditionExpression": (
            "(attribute_not_exists(#0)) OR (#0 = :5 AND #5 <= :6 AND attribute_exists(#6) AND #6 <> :7)"
        ),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        "ExpressionAttributeNames": {
            "#0": "state",
            "#1": "created",
            "#2": "history",
            "#3": "attempt",
            "#4": "idx",
            "#5": "until",
            "#6": "lease",
        },
        "ExpressionAttributeValues": {
            ":0": {"S": "RUNNING"},
            ":1": {"N": "1"},
            ":2": {"L": []},
            ":3": {"L": [{"N": "1"}]},
            ":4": {"N": "1"},
            ":5": {"S": "RUNNING"},
            ":6": {"N": "5"},
            ":7": {"S": "x"},
        },
    }


def test_one_case_has_no_parentheses_and_no_condition_asks_nothing():
    assert compile_update(Write("a", ((Test("id", "present"),),)))["ConditionExpression"] == "attribute_exists(#0)"
    assert (
        compile_update(Write("a", ((Test("x", "=", 1),), ()), set={"x": 1}))
        .keys()
        .isdisjoint({"ConditionExpression", "ReturnValuesOnConditionCheckFailure"})
    )
    assert compile_update(Write("a")) == {}


def test_a_job_costs_one_request_a_write_and_one_a_read():
    call = Answers({"Attributes": {"id": {"S": "a"}}}, {"Item": {"id": {"S": "a"}}}, {})
    table = JobTable(call, "jobs")
    table.apply(Write("a", set={"x": 1}))
    assert table.get("a") == {"id": "a"}
    assert table.get("b") is None
    assert [operation for operation, _ in call.asked] == ["UpdateItem", "GetItem", "GetItem"]
    assert call.asked[0][1]["ReturnValues"] == "ALL_NEW"
    assert call.asked[1][1] == {"TableName": "jobs", "Key": {"id": {"S": "a"}}, "ConsistentRead": True}


CLAIM = Write(
    "a",
    ((Test("lease", "absent"),),),
    set={"lease": "mine", "at": 5},
    default={"made": 1},
    add={"n": 1},
    append={"history": [["RUNNING", 5]]},
    remove=("idx",),
)
MINE = {"id": "a", "lease": "mine", "at": 5, "made": 0, "n": 3, "history": [["PENDING", 1], ["RUNNING", 5]]}


def test_a_write_that_met_its_own_effect_is_done():
    assert JobTable(Answers(Ambiguous(MINE)), "jobs").apply(CLAIM) == MINE


@pytest.mark.parametrize(
    "item",
    [
        None,
        {**MINE, "lease": "other"},
        {**MINE, "at": 4},
        {**MINE, "idx": "still"},
        {**MINE, "history": [["RUNNING", 5], ["FAILED", 6]]},
        {name: value for name, value in MINE.items() if name != "made"},
        {name: value for name, value in MINE.items() if name != "n"},
        {name: value for name, value in MINE.items() if name != "lease"},
    ],
    ids=["none", "lease", "time", "not removed", "not appended", "no default", "not added", "not set"],
)
def test_a_write_that_met_anything_else_is_a_conflict(item):
    with pytest.raises(Conflict) as caught:
        JobTable(Answers(Ambiguous(item)), "jobs").apply(CLAIM)
    assert caught.value.item == item


def test_a_plain_conflict_is_never_taken_for_the_own_write():
    with pytest.raises(Conflict):
        JobTable(Answers(Conflict(MINE)), "jobs").apply(CLAIM)


def test_a_find_asks_for_the_next_page_until_it_has_enough_that_live():
    clock = VirtualClock()
    past, later = clock.now() // 1000 - 1, clock.now() // 1000 + 60

    def page(*ids, ttl, more):
        raw = [{"id": {"S": key}, "ttl": {"N": str(ttl)}} for key in ids]
        return {"Items": raw, **({"LastEvaluatedKey": {"id": {"S": ids[-1]}}} if more else {})}

    call = Answers(
        page("a", "b", "c", ttl=past, more=True), page("d", "e", ttl=later, more=True), page("f", ttl=later, more=False)
    )
    found = JobTable(call, "jobs", clock).find("t#FAILED#0", limit=3)
    assert [item["id"] for item in found] == ["d", "e", "f"]
    assert [params["Limit"] for _, params in call.asked] == [3, 3, 1]
    assert [params.get("ExclusiveStartKey") for _, params in call.asked] == [
        None,
        {"id": {"S": "c"}},
        {"id": {"S": "e"}},
    ]


def test_a_record_ends_exactly_at_its_ttl():
    clock = VirtualClock()
    item = {"id": {"S": "a"}, "ttl": {"N": str(clock.now() // 1000 + 1)}}
    table = JobTable(Answers({"Item": item}, {"Item": item}), "jobs", clock)
    clock.advance(0.999)
    assert table.get("a") is not None
    clock.advance(0.001)
    assert table.get("a") is None
