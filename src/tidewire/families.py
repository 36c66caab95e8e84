"""Families of topics: `room` of `room.lobby`. Metrics are labelled with families, never with names of topics."""

# A project has about a dozen families. A client's text before the first dot of a topic must not create labels without
# limit.
FAMILIES_LIMIT = 32
OTHER = "other"

_labels: set[str] = set()


def family(topic: str) -> str:
    """Return the part of a topic's name before the first dot."""
    return topic.partition(".")[0]


def family_label(topic: str) -> str:
    """Return the topic's family as a label: one of the first `FAMILIES_LIMIT` of this process, otherwise `other`."""
    name = family(topic)
    if name not in _labels:
        if len(_labels) >= FAMILIES_LIMIT:
            return OTHER
        _labels.add(name)
    return name
