"""Messages: the contract that every producer follows, and one delivery of a message to a worker."""
