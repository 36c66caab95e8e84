"""Open files of a node: each socket uses one, and a node that runs out can neither accept nor close sockets."""

from django.core.exceptions import ImproperlyConfigured

# Logs, connections to Redis, the admin port, the database, timers.
OTHER_FILES = 256
# More than a process of Python can serve.
MANY_FILES = 65_536


def reserve_all() -> None:
    """Raise this process's soft limit as far as it may, for a server that has no limits of its own."""
    try:
        import resource  # noqa: PLC0415 - Windows has no such limits
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def reserve(*, connections: int, handshakes: int) -> None:
    """Raise this process's soft limit to the number of files that its own limits allow.

    Raises `ImproperlyConfigured` if the hard limit is lower, which the node would reach long before its own limit.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has no such limits
    except ImportError:
        return
    # A small node can only receive a small storm of handshakes.
    handshakes = min(handshakes, connections)
    needed = connections + handshakes + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ImproperlyConfigured(
            f"This process may open {hard:,} files, and needs {needed:,}: {connections:,} sockets "
            f"(CONNECTIONS_PER_NODE), {handshakes:,} handshakes (HANDSHAKES_PER_NODE) and {OTHER_FILES} others. Raise "
            "the hard limit (ulimit -Hn), or lower CONNECTIONS_PER_NODE"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
