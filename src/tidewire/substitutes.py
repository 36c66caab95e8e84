"""Stores and the publisher that a test has put in place of those for production: see `tidewire.testing`.

No setting reaches them.
"""

from typing import Any, Literal

Kind = Literal["presence", "streams", "edit leases", "publisher"]

_stores: dict[Kind, Any] = {}


def substitute(kind: Kind) -> Any:
    """Return the store of a test, or its publisher. None: the one for production is used."""
    return _stores.get(kind)


def use(stores: dict[Kind, Any]) -> None:
    """Use these stores instead of those in Redis, in all threads of this process. An empty dict: use Redis again."""
    _stores.clear()
    _stores.update(stores)
