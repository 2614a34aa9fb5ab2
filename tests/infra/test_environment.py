"""Environment variables and reach: what is refused at synth instead of at the deploy."""

from dataclasses import replace

import pytest

from infra import environment
from infra.enqueueing import may_enqueue, may_import
from offload import DefinitionError
from offload.core.manifest import Manifest
from offload.core.tasks.setting import WORKERS_OWN
from offload.core.tasks.settings import Settings


def manifest(*tasks):
    """Return the manifest of a stack whose tasks have the default settings."""
    return Manifest(
        stack="offload",
        account="<account>",
        region="<region>",
        table="<table>",
        bucket="<bucket>",
        tasks={name: Settings().for_producers() for name in tasks},
        timers={"group": "offload", "role": "<role>"},
    )


def test_the_environment_holds_the_manifest_without_its_tasks():
    given = manifest("one", "two", "three")
    built = environment.build("one", Settings(), given)
    assert Manifest.load(built["OFFLOAD_MANIFEST"]) == replace(given, tasks={})


def test_too_large_an_environment_is_refused_with_its_size():
    settings = Settings(environment={"BIG": "x" * 4000})
    with pytest.raises(DefinitionError, match=r"task 'one': its environment may take \d+ bytes of Lambda's 4096"):
        environment.build("one", settings, manifest("one"))


def test_any_number_of_tasks_fits():
    names = [f"task_with_a_name_of_some_length_{number}" for number in range(400)]
    built = environment.build(names[0], Settings(enqueues=("*",)), manifest(*names))
    assert sum(map(len, built.values())) < 1000


def test_what_is_set_for_the_worker_is_refused_in_settings():
    assert set(environment.build("one", Settings(), manifest("one"))) == WORKERS_OWN


def test_many_roles_of_timers_count_too():
    roles = {f"task_{number}": "<role>" for number in range(40)}
    given = replace(manifest("one"), timers={"group": "offload", "roles": roles})
    with pytest.raises(DefinitionError, match="shorten `environment` or `enqueues`"):
        environment.build("one", Settings(), given)


def test_reach_is_what_is_declared_and_what_follows():
    settings = {"a": Settings(enqueues=("b",), on_failure="c"), "b": Settings(), "c": Settings(enqueues=("*",))}
    assert may_enqueue("a", settings) == ["b", "c"]
    assert may_import("a", settings) == ["b"]
    assert may_enqueue("b", settings) == []
    assert may_import("c", settings) == ["a", "b", "c"]
