"""The Django project that both services run: settings, models, actions and event types. It has no entry point."""
