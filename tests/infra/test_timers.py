"""What becomes of the roles of timers that wait when tasks come and go between two deployments."""

import aws_cdk as cdk
import pytest

from infra.stages import choose
from infra.timers import Timers


def deployed(*tasks, stage="prod"):
    """Return the resources of the timers of a stack with these tasks, by logical id."""
    stack = cdk.Stack(cdk.App(), "Offload")
    queues = {task: [stack.format_arn(service="sqs", resource=f"offload-{task}")] for task in tasks}
    Timers(stack, "Timers", stage=choose({"stage": stage}.get), queues=queues)
    template = cdk.assertions.Template.from_stack(stack)
    return template.to_json()["Resources"]


@pytest.fixture(scope="module")
def before():
    return deployed("invoice", "parcel")


def role(resources, task):
    (found,) = (
        (name, resource)
        for name, resource in resources.items()
        if resource["Type"] == "AWS::IAM::Role" and f"jobs of task {task}," in resource["Properties"]["Description"]
    )
    return found


@pytest.mark.parametrize("others", [(), ("mail",), ("mail", "invoice")], ids=["removed", "replaced", "added"])
def test_a_timer_of_a_task_keeps_its_role_whatever_other_tasks_come_and_go(before, others):
    assert role(deployed("parcel", *others), "parcel") == role(before, "parcel")


def test_the_role_of_a_removed_task_stays_in_production(before):
    name, resource = role(before, "invoice")
    assert name not in deployed("parcel")
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert "DeletionPolicy" not in role(deployed("invoice", stage="dev"), "invoice")[1]
