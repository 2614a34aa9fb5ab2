"""The CDK code: it deploys one stack of queues, functions, a job table, schedules, alarms and a dashboard.

The code reads the settings of tasks by importing the tasks through `offload.core.tasks.registry`. It loads no AWS SDK.
"""
