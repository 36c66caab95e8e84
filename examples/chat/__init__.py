"""A chat on plain Channels and stock Daphne, and its load test."""
