"""Journeys: what kinds of users do. Each module is small, to be copied for a product of your own."""
