from __future__ import annotations

import pytest

from offload.aws.calls import Rejected
from offload.aws.statements import compile_statement
from offload.aws.table import JobTable
from offload.core.errors import Refused, Unavailable
from offload.core.writes import Conflict, Test, Write
from offload.memory.clock import VirtualClock

ABSENT = ((Test("id", "absent"),),)


class Batch:
    """A transport that answers batches as told: a code for each statement that fails, by the id of its item."""

    def __init__(self, *codes, items=(), repeated=False):
        self.codes, self.items, self.repeated = list(codes), items, repeated
        self.asked = []

    def __call__(self, operation, params):
        self.asked.append((operation, params))
        if operation == "BatchGetItem":
            return {
                "Responses": {"jobs": [{"id": {"S": item["id"]}, "n": {"N": str(item["n"])}} for item in self.items]}
            }
        if operation == "UpdateItem":
            return {"Attributes": {"id": params["Key"]["id"]}}
        codes = self.codes.pop(0) if self.codes else {}
        if isinstance(codes, Exception):
            raise codes
        responses = []
        for statement in params["Statements"]:
            code = codes.get(statement["Parameters"][0]["S"])
            responses.append({"Error": {"Code": code, "Message": "because"}} if code else {"TableName": "jobs"})
        metadata = {"ResponseMetadata": {"RetryAttempts": 1}} if self.repeated else {}
        return {"Responses": responses, **metadata}

    def operations(self):
        return [operation for operation, _ in self.asked]


def table(call):
    return JobTable(call, "jobs", VirtualClock())


def create(*names):
    return [Write(name, ABSENT, set={"n": 1}) for name in names]


def test_a_hundred_records_are_four_requests():
    call = Batch()
    made = table(call).apply_many(create(*(f"j{n}" for n in range(100))))
    assert [record["id"] for record in made] == [f"j{n}" for n in range(100)]
    assert call.operations() == ["BatchExecuteStatement"] * 4
    assert [len(params["Statements"]) for _, params in call.asked] == [25] * 4


def test_an_item_is_named_once_in_a_batch():
    call = Batch()
    table(call).apply_many(create("a", "b", "a", "a"))
    assert [[each["Parameters"][0]["S"] for each in params["Statements"]] for _, params in call.asked] == [
        ["a", "b"],
        ["a"],
        ["a"],
    ]


def test_members_that_were_throttled_are_sent_again_and_then_unavailable():
    call = Batch(
        {"a": "ThrottlingError", "b": "ProvisionedThroughputExceeded", "c": "ValidationError"},
        {"b": "InternalServerError"},
    )
    a, b, c, d = table(call).apply_many(create("a", "b", "c", "d"))
    assert (a["id"], b["id"], d["id"]) == ("a", "b", "d")
    assert isinstance(c, Rejected)
    assert c.code == "ValidationError"
    assert [len(params["Statements"]) for _, params in call.asked] == [4, 2, 1]

    call = Batch(*[{"b": "RequestLimitExceeded"}] * 9)
    a, b = table(call).apply_many(create("a", "b"))
    assert a["id"] == "a"
    assert isinstance(b, Unavailable)
    assert len(call.asked) == 4


@pytest.mark.parametrize("error", [Unavailable("no answer"), Refused("denied")])
def test_a_request_that_fails_is_the_error_of_its_members_alone(error):
    call = Batch({}, error)
    outcomes = table(call).apply_many(create(*(f"j{n}" for n in range(30))))
    assert [outcome["id"] for outcome in outcomes[:25]] == [f"j{n}" for n in range(25)]
    assert outcomes[25:] == [error] * 5


def test_what_a_failed_condition_met_is_read_in_one_request():
    call = Batch({"a": "DuplicateItem", "b": "DuplicateItem"}, items=[{"id": "a", "n": 1}])
    a, b, c = table(call).apply_many(create("a", "b", "c"))
    assert isinstance(a, Conflict)
    assert a.item == {"id": "a", "n": 1}
    assert isinstance(b, Conflict)
    assert b.item is None
    assert c == {"id": "c", "n": 1}
    assert call.operations() == ["BatchExecuteStatement", "BatchGetItem"]


@pytest.mark.parametrize("how", ["repeated request", "internal error"])
def test_a_statement_that_met_its_own_effect_is_done(how):
    codes = {"a": "DuplicateItem", "b": "DuplicateItem"}
    rounds = [codes] if how == "repeated request" else [dict.fromkeys(codes, "InternalServerError"), codes]
    call = Batch(*rounds, items=[{"id": "a", "n": 1}, {"id": "b", "n": 2}], repeated=how == "repeated request")
    a, b = table(call).apply_many(create("a", "b"))
    assert a == {"id": "a", "n": 1}
    assert isinstance(b, Conflict)
    assert b.item == {"id": "b", "n": 2}


def test_an_insert_that_stands_for_one_of_several_cases_meets_an_item_by_an_update():
    call = Batch({"a": "DuplicateItem"})
    write = Write("a", (*ABSENT, (Test("until", "<=", 5),)), set={"n": 1})
    assert table(call).apply_many([write]) == [{"id": "a"}]
    assert call.operations() == ["BatchExecuteStatement", "UpdateItem"]


@pytest.mark.parametrize(
    "write",
    [
        Write("a", set={"x": 1}),
        Write("a", ((Test("x", "present"),),), add={"x": 1}),
        Write("a", ((Test("x", "present"),),), append={"x": [1]}),
        Write("a", ((Test("x", "present"),),), set={"y": 1}, default={"x": 1}),
        Write("a", ((Test("x", "absent"),),), set={"x": 1}),
        Write("a", ((Test("x", "present"),), (Test("y", "present"),)), set={"x": 1}),
        Write("a", ((Test("x", "present"),),)),
        Write("a", ABSENT, set={"x" * 8200: 1}),
    ],
    ids=["no condition", "add", "append", "default", "may create", "two cases", "nothing", "long"],
)
def test_what_no_statement_says_is_a_request_of_its_own(write):
    assert compile_statement("jobs", write) is None
    call = Batch()
    table(call).apply_many([write])
    assert call.operations() == ["UpdateItem"]


def test_statements_quote_names_and_pass_values():
    insert = compile_statement(
        't"', Write("a", ABSENT, set={"it's": 1}, default={"x": None}, append={"l": [1]}, base={"l": [0]})
    )
    assert insert.text == "INSERT INTO \"t\"\"\" VALUE {'id': ?, 'x': ?, 'it''s': ?, 'l': ?}"
    assert insert.parameters == [{"S": "a"}, {"NULL": True}, {"N": "1"}, {"L": [{"N": "0"}, {"N": "1"}]}]
    assert insert.inserted == {"id": "a", "x": None, "it's": 1, "l": [0, 1]}
    case = (Test('"x"', "=", 1), Test("y", "<>", 2), Test("z", "absent"), Test("p", "present"))
    update = compile_statement("t", Write("a", (case,), set={"s": 1.0}, remove=("r",)))
    assert update.text == (
        'UPDATE "t" SET "s" = ? REMOVE "r" WHERE "id" = ? AND """x""" = ? AND "y" IS NOT MISSING AND "y" <> ? '
        'AND "z" IS MISSING AND "p" IS NOT MISSING RETURNING ALL NEW *'
    )
    assert update.parameters == [{"N": "1.0"}, {"S": "a"}, {"N": "1"}, {"N": "2"}]


def test_keys_that_were_left_out_are_asked_for_again():
    answers = [
        {"Responses": {"jobs": [{"id": {"S": "a"}}]}, "UnprocessedKeys": {"jobs": {"Keys": [{"id": {"S": "b"}}]}}},
        {"Responses": {"jobs": [{"id": {"S": "b"}}]}},
    ]
    asked = []

    def call(_operation, params):
        asked.append([key["id"]["S"] for key in params["RequestItems"]["jobs"]["Keys"]])
        return answers.pop(0)

    assert table(call).get_many(["a", "b"]) == {"a": {"id": "a"}, "b": {"id": "b"}}
    assert asked == [["a", "b"], ["b"]]


def test_keys_that_are_left_out_for_ever_are_unavailable():
    asked = []

    def call(_operation, params):
        asked.append(params)
        return {"Responses": {}, "UnprocessedKeys": {"jobs": params["RequestItems"]["jobs"]}}

    with pytest.raises(Unavailable, match="1 keys"):
        table(call).get_many(["a"])
    assert len(asked) == 4


def test_a_hundred_keys_are_one_request():
    asked = []

    def call(_operation, params):
        asked.append(len(params["RequestItems"]["jobs"]["Keys"]))
        assert params["RequestItems"]["jobs"]["ConsistentRead"] is True
        return {"Responses": {}}

    table(call).get_many([f"k{n}" for n in range(101)])
    assert asked == [100, 1]
