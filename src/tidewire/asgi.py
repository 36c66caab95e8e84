"""ASGI scopes and messages. An optional field that is absent, None or empty has the same meaning.

Servers differ: for a close frame without a status Daphne sends `code: None`, uvicorn 1005, and a test client no key.
"""

from collections.abc import Callable
from typing import Any, Final

# Of a request's id.
ID_LENGTH: Final = 64

Scope = dict[str, Any]
Message = dict[str, Any]

# The code that ASGI defines for a close frame without a status, such as the one sent by `WebSocket.close()`.
NO_STATUS: Final = 1005
# The code of a connection that ended without a close frame.
ABNORMAL_CLOSURE: Final = 1006

_EMPTY: Final[dict[str, Callable[[], Any]]] = {
    "headers": list,
    "query_string": bytes,
    "subprotocols": list,
    "extensions": dict,
    "root_path": str,
}


def complete(scope: Scope) -> Scope:
    """Return the same scope, with an empty value for each optional field that is absent or None.

    Must be called before any middleware: Channels' own fails if the headers are None.
    """
    for name, empty in _EMPTY.items():
        if scope.get(name) is None:
            scope[name] = empty()
    return scope


def header(scope: Scope, name: bytes) -> bytes:
    """Return the first header of that name, or an empty value. `name` must be in lower case."""
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


def request_id(scope: Scope) -> str:
    """Return the id that nginx gave to the handshake, or an empty text."""
    return header(scope, b"x-request-id")[:ID_LENGTH].decode("ascii", "replace")


def claim_socket(scope: Scope, consumer: str | None = None) -> None:
    """Tell tidewire's server which class of consumers serves a socket; None: one with metrics of its own."""
    _tell(scope, "claim", consumer)


def claim_task(scope: Scope, task: object) -> None:
    """Tell tidewire's server about a task that sends only to this socket, and may therefore wait for its client."""
    _tell(scope, "claim_task", task)


def on_end(scope: Scope, callback: Callable[[], object]) -> None:
    """Let tidewire's server call `callback` when a socket of an application that is no live consumer has ended."""
    _tell(scope, "add_cleanup", callback)


def _tell(scope: Scope, name: str, value: object) -> None:
    """Call a method of tidewire's server. Other servers have none."""
    method = getattr((scope.get("extensions") or {}).get("tidewire.writer"), name, None)
    if method is not None:
        method(value)


def close_code(message: Message) -> int:
    """Return the code of a `websocket.disconnect`; `NO_STATUS` if the server gives none."""
    code = message.get("code")
    return int(code) if isinstance(code, int) else NO_STATUS


def size_of(message: Message) -> int:
    """Return the size of a `websocket.send`, nearly: of a text the number of characters."""
    return len(message.get("text") or message.get("bytes") or "")


def content(message: Message) -> tuple[str | None, bytes | None]:
    """Return text and bytes of a `websocket.receive`; one of them is None. An empty message has an empty text."""
    text, data = message.get("text"), message.get("bytes")
    if text is not None or data is None:
        return text or "", None
    return None, data
