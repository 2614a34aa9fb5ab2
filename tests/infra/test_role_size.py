"""A role that IAM would not take is refused at synth."""

import pytest

from infra import role_size
from offload import DefinitionError


def policy(count):
    arn = {"Fn::Join": ["", ["arn:", {"Ref": "AWS::Partition"}, ":sqs:::", {"Fn::GetAtt": ["Queue", "Arn"]}]]}
    return {"Statement": [{"Action": "sqs:SendMessage", "Resource": [arn] * count}]}


def test_what_fits_passes():
    role_size.check("work", [policy(30), policy(30)])


def test_what_is_too_long_is_refused_with_what_to_shorten():
    with pytest.raises(
        DefinitionError, match=r"task 'work': its role may take 1\d{4} characters of IAM's 10240: shorten"
    ):
        role_size.check("work", [policy(40), policy(40)])


def test_names_count_at_their_longest():
    assert len(role_size._filled({"Ref": "AWS::Region"})) >= len("ap-southeast-2")
    assert len(role_size._filled({"Fn::GetAtt": ["Bucket", "Arn"]})) >= len("arn:aws-us-gov:s3:::") + 63
    assert len(role_size._filled({"Ref": "AWS::AccountId"})) == 12
