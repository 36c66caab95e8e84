"""The report of a run: the result as data, as a page, as Markdown, and beside that of another run."""
