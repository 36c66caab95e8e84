"""Package of the tests, so that their modules can be imported even if another package is named tests."""
