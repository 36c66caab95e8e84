"""The tests' own package, so that its modules can be imported whatever else is called tests."""
