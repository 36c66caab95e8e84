"""Whether the installed Channels has the methods that the library's dispatch was tested against.

A version of Channels that changes them, or a tool that replaces one of them, must get its own behaviour: consumers then
keep Channels' dispatch.
"""

import ast
import hashlib
import inspect
import textwrap
from functools import cache
from types import FunctionType
from typing import Any

import asgiref.sync
import channels.db
import channels.utils
from channels import consumer

# The methods that the library's dispatch replaces or depends on, with the digest of their code in the tested versions:
# Channels 4.2.0 to 4.3.2 have the same.
TESTED = {
    "AsyncConsumer.__call__": "8462ee3f7788c350",
    "AsyncConsumer.dispatch": "32a44591cd405e48",
    "AsyncConsumer.send": "6f490fc339f9eb60",
    "AsyncConsumer.as_asgi": "89be35b0f68a285f",
    "SyncConsumer.dispatch": "08422cb0f81af024",
    "SyncConsumer.send": "b3c84ebca4109222",
    "get_handler_name": "514cdb5a605f2ab4",
    "await_many_dispatch": "aa6bc7affcdcc5b1",
    "DatabaseSyncToAsync.thread_handler": "a0a2b24a9e64378c",
    "aclose_old_connections": "e5fbbc4f6bc180f3",
}


def _methods() -> dict[str, Any]:
    sync = consumer.SyncConsumer
    return {
        "AsyncConsumer.__call__": consumer.AsyncConsumer.__call__,
        "AsyncConsumer.dispatch": consumer.AsyncConsumer.dispatch,
        "AsyncConsumer.send": consumer.AsyncConsumer.send,
        "AsyncConsumer.as_asgi": consumer.AsyncConsumer.as_asgi.__func__,
        "SyncConsumer.dispatch": getattr(inspect.getattr_static(sync, "dispatch"), "func", None),
        "SyncConsumer.send": sync.send,
        "get_handler_name": consumer.get_handler_name,
        "await_many_dispatch": channels.utils.await_many_dispatch,
        "DatabaseSyncToAsync.thread_handler": channels.db.DatabaseSyncToAsync.thread_handler,
        "aclose_old_connections": channels.db.aclose_old_connections,
    }


@cache
def untested() -> str:
    """Return the first name that is not as tested, or an empty text if all are."""
    for name, method in _methods().items():
        if digest(method) != TESTED[name]:
            return f"channels: {name}"
    # The context of a consumer must be handed to a thread as asgiref does it.
    return "" if callable(getattr(asgiref.sync, "_restore_context", None)) else "asgiref.sync._restore_context"


def digest(function: Any) -> str:
    """Return a digest of a function's code; neither comments, docstrings nor the version of Python change it."""
    if type(function) is not FunctionType:
        return "replaced"
    try:
        # The source of the code object: for a function that wraps another, `inspect` would return the other's.
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(function.__code__))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        # Without the source nothing can be compared.
        return "no source"
    if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(definition) is not None:
        definition.body = definition.body[1:]
    return hashlib.sha256(ast.unparse(definition).encode()).hexdigest()[:16]
