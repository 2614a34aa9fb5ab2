"""The actions of an operator, one function for each. Every function takes a client and returns data."""
