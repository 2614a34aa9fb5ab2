"""Flow control: how fast jobs may start."""
