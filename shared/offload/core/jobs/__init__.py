"""Jobs: their states and records, and every decision about them as a pure function."""
