"""One function per thing an operator does. Each takes a client and returns data."""
