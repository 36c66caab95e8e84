"""Journeys: the behaviour of kinds of users. Each module is small, so that it can be copied for another product."""
