"""The Django project of both services: settings, models, actions and event types. It has no entry point."""
