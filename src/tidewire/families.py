"""Families of topics: `room` of `room.lobby`. Labels of metrics carry families, never the names of topics."""

# A project has a dozen families. A project that puts text of clients before the first dot must not grow metrics.
FAMILIES_LIMIT = 32
OTHER = "other"

_labels: set[str] = set()


def family(topic: str) -> str:
    """The part of a topic's name before the first dot."""
    return topic.partition(".")[0]


def family_label(topic: str) -> str:
    """The topic's family as a label: one of the first so many families of this process, else `other`."""
    name = family(topic)
    if name not in _labels:
        if len(_labels) >= FAMILIES_LIMIT:
            return OTHER
        _labels.add(name)
    return name
