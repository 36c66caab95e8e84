"""ASGI scopes and messages: an optional field may be absent, None or empty, and means the same each time.

Servers differ: Daphne sends `code: None` for a close frame without a status, uvicorn 1005, a test client no key.
"""

from collections.abc import Callable
from typing import Any, Final

Scope = dict[str, Any]
Message = dict[str, Any]

# The code that ASGI defines for a close frame without a status, as `WebSocket.close()` of a browser sends.
NO_CODE: Final = 1005
# The code of a connection that ended without a close frame.
LOST: Final = 1006

_EMPTY: Final[dict[str, Callable[[], Any]]] = {
    "headers": list,
    "query_string": bytes,
    "subprotocols": list,
    "extensions": dict,
    "root_path": str,
}


def complete(scope: Scope) -> Scope:
    """The same scope, with the empty value for each optional field that is absent or None.

    Call it first of all: Channels' own middleware fails at headers that are None.
    """
    for name, empty in _EMPTY.items():
        if scope.get(name) is None:
            scope[name] = empty()
    return scope


def header(scope: Scope, name: bytes) -> bytes:
    """The first header of that name, empty if there is none. `name` is in lower case."""
    return next((bytes(value) for key, value in scope["headers"] if key == name), b"")


def close_code(message: Message) -> int:
    """The code of a `websocket.disconnect`; `NO_CODE` if the server names none."""
    code = message.get("code")
    return int(code) if isinstance(code, int) else NO_CODE


def content(message: Message) -> tuple[str | None, bytes | None]:
    """The text and the bytes of a `websocket.receive`; one of them is None. Nothing at all is an empty text."""
    text, data = message.get("text"), message.get("bytes")
    if text is not None or data is None:
        return text or "", None
    return None, data
