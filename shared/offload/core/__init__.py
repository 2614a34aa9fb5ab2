"""Pure core: what a task, a message and a job are, and every decision about them. No I/O, no SDK."""
