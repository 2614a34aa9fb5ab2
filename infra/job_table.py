"""The job table, and the bucket for payloads and results that do not fit in messages and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra import nag
from offload.core.jobs import RECORD_LIFE_DAYS
from offload.core.manifest import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from infra.stages import Stage
    from offload.core.settings import Settings

LISTED = ["task", "state", "attempt", "max_attempts", "created_at", "updated_at", "next_at", "reason"]
"""Attributes the index carries: what a list of jobs shows. Each one more makes every index write larger."""

_DAY = 86_400


class JobTable(Construct):
    """The table of job records and the bucket beside it.

    Attributes:
        table: Key `id`; index `by_state` holds only the jobs that can be listed.
        bucket: `payloads/` and `results/<days>d/`.
    """

    def __init__(self, scope: Construct, id: str, *, stage: Stage, tasks: Iterable[Settings]) -> None:  # noqa: A002 - CDK's name
        """Create both."""
        super().__init__(scope, id)
        kept = cdk.RemovalPolicy.RETAIN if stage.keeps_data else cdk.RemovalPolicy.DESTROY
        self.table = dynamodb.Table(
            self,
            "Jobs",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            # No `encryption`: DynamoDB encrypts every table with a key of its own, free; a KMS key bills requests.
            time_to_live_attribute="ttl",
            stream=dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=stage.keeps_data,
            removal_policy=kept,
        )
        self.table.add_global_secondary_index(
            index_name=INDEX,
            partition_key=dynamodb.Attribute(name="idx", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="idx_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=LISTED,
        )
        self.bucket = s3.Bucket(
            self,
            "Blobs",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=list(_lifecycle(tasks)),
            removal_policy=kept,
        )
        nag.explain(
            self.bucket,
            "S1",
            "Objects are single jobs' payloads and results, gone after their life. Only the stack's functions and the "
            "account's operators reach them; CloudTrail data events say who did, where an audit asks for it",
        )


def _lifecycle(tasks: Iterable[Settings]) -> list[s3.LifecycleRule]:
    lives = sorted({days_of(settings) for settings in tasks})
    return [
        s3.LifecycleRule(
            id="payloads",
            prefix="payloads/",
            # A message may need its payload for as long as its job has a record.
            expiration=cdk.Duration.days(RECORD_LIFE_DAYS),
        ),
        *(
            s3.LifecycleRule(
                id=f"results-{days}d",
                prefix=f"results/{days}d/",
                # S3 counts whole days from the write; the one more keeps the object until the last reader's hour.
                expiration=cdk.Duration.days(days + 1),
            )
            for days in lives
        ),
        s3.LifecycleRule(id="uploads", abort_incomplete_multipart_upload_after=cdk.Duration.days(2)),
    ]


def days_of(settings: Settings) -> int:
    """Return a task's `result_ttl` in whole days, rounded up: the folder of its large results."""
    return -(-int(settings.result_life) // _DAY)
