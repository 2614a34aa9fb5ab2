"""Adapters to AWS: the ports of the core over DynamoDB, SQS, S3, EventBridge Scheduler and SSM.

Each adapter stands on a `Call` (see `calls`), and there are two: `signed`, cheap enough for inside Lambda, and `sdk`,
boto3 with the user's ordinary configuration. No module here imports boto3 before its first use.
"""
