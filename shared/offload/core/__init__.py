"""What a task, a message and a job are, and every decision about them. Pure Python and pydantic: no I/O."""
