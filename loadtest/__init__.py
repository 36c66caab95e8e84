"""The load test: users over Locust that account for every event. Nothing here is part of the product."""
