"""The ws service: sockets, served by Daphne. It serves no page and never imports web."""
