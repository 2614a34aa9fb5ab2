"""The job table, and the bucket for payloads and results that are too large for messages and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra import nag
from offload.core.manifest import INDEX
from offload.core.retention import folder_lives

if TYPE_CHECKING:
    from infra.stages import Stage

INDEX_ATTRIBUTES = ["task", "state", "attempt", "max_attempts", "created_at", "updated_at", "next_at", "reason"]
"""Attributes of the index, which a list of jobs shows. Every further attribute makes each index write larger."""


class JobTable(Construct):
    """The table of job records and the bucket beside it.

    Attributes:
        table: The table. Its key is `id`; its index `by_state` contains only the jobs that can be listed.
        bucket: The bucket, with the folders of `core/retention.py`.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage) -> None:  # noqa: A002 - CDK's name
        """Create the table and the bucket."""
        super().__init__(scope, id)
        removal_policy = cdk.RemovalPolicy.RETAIN if stage.keeps_data else cdk.RemovalPolicy.DESTROY
        self.table = dynamodb.Table(
            self,
            "Jobs",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            # Without `encryption`, DynamoDB encrypts the table with its own key for free. A KMS key costs money per
            # request.
            time_to_live_attribute="ttl",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=stage.keeps_data,
            removal_policy=removal_policy,
        )
        self.table.add_global_secondary_index(
            index_name=INDEX,
            partition_key=dynamodb.Attribute(name="idx", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="idx_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=INDEX_ATTRIBUTES,
        )
        self.bucket = s3.Bucket(
            self,
            "Blobs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=_lifecycle(),
            removal_policy=removal_policy,
        )
        nag.acknowledge(
            self.bucket,
            "S1",
            "Each object is the payload or the result of one job and expires. Only the stack's functions and the "
            "account's operators can read objects; CloudTrail data events show each access if an audit needs it",
        )


def _lifecycle() -> list[s3.LifecycleRule]:
    return [
        *(
            s3.LifecycleRule(id=folder.strip("/").replace("/", "-"), prefix=folder, expiration=cdk.Duration.days(days))
            for folder, days in folder_lives().items()
        ),
        s3.LifecycleRule(id="uploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(2)),
    ]
