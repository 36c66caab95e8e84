"""A run: its state, its course over several processes, its accounts and figures."""
