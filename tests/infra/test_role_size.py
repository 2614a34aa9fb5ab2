"""A role that IAM would not take is refused at synth."""

import pytest

from infra import role_size
from offload import DefinitionError

REGION = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sqs:", {"Ref": "AWS::Region"}, ":queue-of-a-task"]]}
OBJECTS = {"Fn::Join": ["", [{"Fn::GetAtt": ["Bucket", "Arn"]}, "/results/7d/leaf/*"]]}
NAMES = {"Bucket": "arn:aws-us-gov:s3:::"}


def policy(count, resource):
    return {"Statement": [{"Action": "s3:GetObject", "Resource": [resource] * count}]}


def fits(stack, *policies):
    try:
        role_size.check("work", stack, policies, NAMES)
    except DefinitionError:
        return False
    return True


def test_what_fits_passes():
    assert fits("offload", policy(60, OBJECTS), policy(60, REGION))


def test_what_is_too_long_is_refused_with_what_to_shorten():
    with pytest.raises(
        DefinitionError, match=r"task 'work': its role may take 1\d{4} characters of IAM's 10240: shorten"
    ):
        role_size.check("work", "offload", [policy(100, OBJECTS), policy(100, REGION)], NAMES)


def test_the_policies_of_a_role_count_together():
    assert fits("offload", policy(100, OBJECTS))
    assert fits("offload", policy(100, REGION))
    assert not fits("offload", policy(100, OBJECTS), policy(100, REGION))


def test_names_count_as_cloudformation_makes_them():
    """A bucket's name is `STACK-LOGICALID-XXXXXXXXXXXX`; a long stack makes long names."""
    length = len("arn:aws-us-gov:s3:::") + len("offload-Bucket-0123456789012") + len('/results/7d/leaf/*"",')
    count = (role_size.MOST_CHARACTERS - 60) // length
    assert fits("offload", policy(count, OBJECTS))
    assert not fits("offload", policy(count + 1, OBJECTS))
    assert not fits("a-stack-with-a-much-longer-name", policy(count, OBJECTS))
