"""What gets deployed: one stack of queues, functions, a job table, schedules, alarms and a dashboard.

It learns everything about tasks by importing them through `offload.core.registry`, and loads no AWS SDK.
"""
