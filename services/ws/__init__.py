"""The ws service: Daphne, sockets only."""
