"""The edits of planted faults: what each makes of a sample, and what is said when one does not fit."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass

import pytest

from offload.core.jobs.state import State
from offload.core.writes import Test, Write
from tests.simulation.edits import (
    Code,
    always,
    both,
    compare,
    drop,
    first_case,
    move,
    put,
    within,
)
from tests.simulation.places import Place, Unfit
from tests.simulation.selecting import (
    argument,
    branch,
    call,
    case,
    comparison,
    condition,
    conditional,
    entry,
    go_on,
    handler,
    key,
    pair,
    parameter,
    returned,
    statement,
)

LIMIT = 3


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    sure: bool = False


def is_late(now, due):
    return now > due


def remember(names):
    raise NotImplementedError


def forget(names):
    raise NotImplementedError


def decide(state, now, due):
    if state is State.FAILED:
        return Answer("failed")
    elif is_late(now, due) and now >= LIMIT:  # noqa: RET505 - an `elif` is to be edited
        return Answer("late", sure=True)
    return Answer("soon" if now else "never")


def write(job_id, lease):
    case = (Test("state", "=", "RUNNING"), Test("lease", "=", lease))
    return Write(job_id, when=(case,), set={"attempt": 1, "at": LIMIT + 1, "state": State.FAILED})


def collect(names):
    found = []
    try:
        for name, kind in (("id", 1), ("key", 2)):
            if name in names:
                continue
            found.append(kind)
    except ValueError:
        return None
    remember(names)
    forget(names)
    return found


def tell(state):
    match state:
        case State.FAILED:
            return "bad"
        case _:
            return "good"


def edited(function, edit):
    place = Place.of(function)
    edit.change(place)
    return "\n".join(ast.unparse(ast.fix_missing_locations(each)) for each in place.node.body)


@pytest.mark.parametrize(
    ("function", "edit", "gone", "new"),
    [
        (decide, drop(branch(on=State.FAILED)), "Answer('failed')", "if is_late(now, due) and now >= LIMIT:"),
        (decide, drop(branch(on=is_late)), "elif", "return Answer('failed')\nreturn"),
        (decide, drop(branch(doing=argument(Answer, "sure"))), "elif", "return Answer('failed')\nreturn"),
        (decide, drop(call(is_late)), "is_late(now, due) and", "elif now >= LIMIT:"),
        (decide, drop(argument(Answer, "sure")), ", sure=True", "Answer('late')"),
        (decide, put(argument(is_late, 1), 7), "is_late(now, due)", "is_late(now, 7)"),
        (decide, put(parameter(2), Code("_ - LIMIT")), "(now, due)", "is_late(now, due - LIMIT)"),
        (decide, put(LIMIT, 4), "LIMIT", "now >= 4"),
        (decide, put(returned(), Answer("late", True), times=3), "failed", "return Answer('late', True)"),
        (decide, put(call(is_late), Code("not _0")), "is_late", "not now and"),
        (decide, compare(">=", ">"), ">=", "now > LIMIT"),
        (decide, always(conditional()), "if now", "'soon' if True else 'never'"),
        (decide, always(branch(on=State.FAILED)), "if state", "if True:"),
        (decide, within(branch(on=is_late), put(True, False)), "sure=True", "sure=False"),
        (decide, both(put("failed", "bad"), put("late", "slow")), "'late'", "Answer('bad')"),
        (write, drop(condition("lease")), "'lease'", "(Test('state', '=', 'RUNNING'),)"),
        (write, drop(entry("attempt")), "'attempt'", "{'at': LIMIT + 1"),
        (write, put(entry("attempt"), 2), "'attempt': 1", "'attempt': 2"),
        (write, put(entry("at", LIMIT), ()), "LIMIT", "'at': ()"),
        (write, put(key("attempt"), "tries"), "'attempt'", "'tries': 1"),
        (write, drop(LIMIT), "LIMIT", "'at': 1"),
        (write, drop(State.FAILED), "FAILED", "LIMIT + 1}"),
        (write, drop(argument(Write, "when")), "when=", "Write(job_id, set="),
        (collect, drop(pair("id")), "'id'", "(('key', 2),)"),
        (collect, drop(go_on()), "continue", "pass"),
        (collect, drop(handler(ValueError)), "except", "try:"),
        (collect, put(comparison("in"), False), "name in names", "if False:"),
        (collect, within(handler(ValueError), put(returned(), ())), "None", "return ()"),
        (collect, move(statement(forget), before=statement(remember)), "nothing", "forget(names)\nremember(names)"),
        (tell, within(case(State.FAILED), put("bad", State.FAILED)), "'bad'", "return State.FAILED"),
        (tell, drop(case(State.FAILED)), "FAILED", "match state:"),
        (tell, first_case(Answer, Answer("yes")), "nothing", "case Answer():\n        return Answer('yes', False)"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_edit(function, edit, gone, new):
    text = edited(function, edit)
    assert gone not in text
    assert new in text


@pytest.mark.parametrize(
    ("function", "edit", "said"),
    [
        (decide, drop(condition("lease")), "a Test of 'lease' was found 0 times, not 1"),
        (decide, put(call(Answer), 1), "a call of Answer was found 3 times, not 1"),
        (decide, drop(statement(is_late)), "a statement naming is_late was found 0 times, not 1"),
        (decide, drop(returned(), times=3), "a Call cannot be dropped from a Return"),
        (tell, move(statement("good"), before=statement("bad")), "does not come after a statement naming 'bad'"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_an_edit_that_does_not_fit(function, edit, said):
    with pytest.raises(Unfit, match=said):
        edited(function, edit)


def test_what_the_module_does_not_name_is_imported():
    place = Place.of(is_late)
    put(returned(), Code("dumps(_)", names=(json.dumps,))).change(place)
    text = place.text()
    assert "from __future__ import annotations\nfrom json import dumps as planted_dumps\n" in text
    assert "return planted_dumps(now > due)" in text
