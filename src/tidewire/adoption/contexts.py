"""asgiref's private function that sets the values of another context, with which it hands a call to another thread."""

from collections.abc import Callable
from contextvars import Context

import asgiref.sync


def _missing(_context: Context) -> None:
    """Do nothing: without asgiref's function no consumer is adopted."""


restore_context: Callable[[Context], None] = getattr(asgiref.sync, "_restore_context", _missing)
