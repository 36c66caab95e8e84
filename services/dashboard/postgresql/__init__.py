"""The engine of PostgreSQL with limits on each wait, for DATABASES: `dashboard.postgresql`."""
