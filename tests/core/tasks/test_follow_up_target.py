"""A follow-up takes exactly the argument `job`, or nobody may name it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from offload import DefinitionError, task
from offload.core.tasks.follow_up_target import check_follow_ups
from offload.testing import Pipeline


class Outcome(BaseModel):
    id: str


@task(on_success="told")
def succeeds(): ...


@task(on_failure="told")
def fails(): ...


def no_argument(): ...
def another_name(outcome: dict[str, Any]): ...
def one_more(job: dict[str, Any], channel: str): ...
def another_type(job: str): ...


def only_job(job: dict[str, Any]): ...
def without_annotation(job): ...
def by_a_model(job: Outcome): ...
def with_a_default(job: dict[str, Any], channel: str = "general"): ...
def optional(job: dict[str, Any] | None = None): ...


def told(function):
    function.__name__ = "told"
    return task(function)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (no_argument, "told takes no argument 'job'"),
        (another_name, "told takes no argument 'job'"),
        (one_more, "told takes 'channel' too, which nobody gives"),
        (another_type, "told takes 'job' as string, and it is an object"),
    ],
)
@pytest.mark.parametrize(("first", "setting"), [(succeeds, "on_success"), (fails, "on_failure")])
def test_what_takes_anything_else_is_refused_with_both_names_and_the_fix(first, setting, function, why):
    with pytest.raises(DefinitionError) as refused:
        Pipeline(first, told(function))
    said = str(refused.value)
    assert said.startswith(f"task {first.name!r}: {setting}='told': {why}")
    assert said.endswith("def told(job: dict)")


@pytest.mark.parametrize("function", [only_job, without_annotation, by_a_model, with_a_default, optional])
def test_what_takes_the_outcome_is_taken(function):
    target = told(function)
    tasks = {"succeeds": succeeds, "told": target}
    check_follow_ups(tasks, tasks)


def test_a_task_that_is_not_deployed_is_not_judged():
    Pipeline(succeeds)
