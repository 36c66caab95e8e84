"""Hints: the messages of a topic's group. A hint may be lost, so the stores are authoritative."""

HINT = "tidewire.hint"


def group_name(prefix: str, topic: str) -> str:
    """Return the name of the Channels group that carries a topic's hints."""
    return f"{prefix}.{topic}"
