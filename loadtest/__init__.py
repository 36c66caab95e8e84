"""The load test: Locust users that account for every event. The product does not depend on it."""
