"""The remedy against each cause of a resource's use."""

from __future__ import annotations

# The use of processes without any traffic, which another number of sockets does not change.
AT_REST = "processes at rest"
ADVICE = {
    AT_REST: "give each process more of it, or use fewer and larger nodes",
    "open sockets": "use fewer sockets for each tab: one socket can subscribe to several topics",
    "deliveries": "send fewer events, or to smaller audiences",
    "handshakes": "load fewer pages that open sockets anew, use tickets, and let fewer sockets make users present",
    "events received": "publish fewer events; each node receives all of them, so use fewer and larger nodes",
    "editors": "keep fewer forms open",
    "nodes": "use fewer and larger nodes",
    "events published": "publish fewer events",
    "events at every node": "use fewer and larger nodes, publish fewer events; then a Redis for each group of topics",
    "pages": "load fewer pages, or make each cheaper",
    "saves": "save less often, or make each save cheaper",
    "logins": "let sessions last longer, so that fewer users log in",
    "spare files": "raise the limit of open files",
    "its way at rest": "nothing in the plan: it is the time of commit, outbox, Redis, node and nginx at rest",
    "waiting for pages": "use more web processes",
    "one fan-out": "use more nodes, so that each has fewer sockets to write to",
    "waiting for other events": "send fewer events, or use more nodes",
}


def advice(cause: str) -> str:
    """Return the remedy; a topic is a cause of its own in a network."""
    return ADVICE.get(cause) or "send smaller events, fewer of them, or to smaller audiences"
