"""Enqueueing: options, requests, the handle that a caller gets back, and the producer in force."""
