"""`tidewire init`: the files of a deployment around an existing project."""


class InitError(Exception):
    """The command cannot go on; the message has the reason and the remedy, in one line."""
