"""A task names only tasks that are there, and as follow-ups those that take exactly the argument `job`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from offload import DefinitionError, task
from offload.core.tasks.references import check_references
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
    check_references(tasks, fix="")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"on_success": "tolt"}, r"on_success='tolt': no such task \(did you mean 'told'\?\); there are one, told"),
        ({"on_failure": "kiwi"}, "on_failure='kiwi': no such task; there are one, told"),
        ({"enqueues": ("told", "nada")}, "enqueues='nada': no such task; there are one, told"),
        ({"enqueues": ("*", "nada")}, "enqueues='nada': no such task"),
    ],
)
def test_a_task_that_is_not_there_is_named_with_those_that_are(setting, said):
    @task(**setting)
    def one(): ...

    with pytest.raises(DefinitionError, match=f"task 'one': {said}.*Deploy the tasks that name each other in one call"):
        Pipeline(one, told(only_job))


@pytest.mark.parametrize("enqueues", ["*", ("*",), ["*"], ("one", "told"), ("told",)])
def test_a_task_that_names_those_that_are_there_is_taken(enqueues):
    @task(enqueues=enqueues)
    def one(): ...

    Pipeline(one, told(only_job))


def test_a_task_that_is_deployed_later_may_name_those_that_are_there():
    pipeline = Pipeline(told(only_job))
    with pytest.raises(DefinitionError, match="on_failure='other'"):
        pipeline.deploy(task(on_failure="other")(without_annotation))
    assert set(pipeline.tasks) == {"told"}
    pipeline.deploy(succeeds)
