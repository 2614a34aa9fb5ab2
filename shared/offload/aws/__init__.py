"""Adapters to AWS: the ports of the core over DynamoDB, SQS, S3, EventBridge Scheduler and SSM.

Each adapter makes its requests through a transport, which is a `Call` (see `calls`). There are two transports:

- `signed` signs requests itself and needs no AWS SDK. Its requests are cheap enough for a worker inside Lambda.
- `sdk` uses boto3 with the user's ordinary configuration.

No module here imports boto3 before its first use.
"""
