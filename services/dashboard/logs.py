"""Logging of both services: through the standard library, as text for a terminal or JSON lines for a collector."""

from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor


def _add_request_id(_logger: object, _method: str, event: EventDict) -> EventDict:
    # Imported late: settings are read before the library's modules can be imported.
    from tidewire.requests import request_id  # noqa: PLC0415

    if current := request_id():
        event["request_id"] = current
    return event


# Applied to structlog's own loggers and to Django's, Twisted's and Gunicorn's, so that all lines have one format.
SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_request_id,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure_structlog() -> None:
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def logging_config(
    *, level: str, log_format: Literal["text", "json"], node: str, request_ids: bool = True
) -> dict[str, Any]:
    """Return a dictConfig for messages from `level` up: JSON to standard output, text to standard error.

    `node` is the process's name in each JSON line; a terminal shows one process at a time. Without `request_ids` the
    configuration imports nothing from the library, which Gunicorn's master must not import.
    """
    shared = SHARED if request_ids else [each for each in SHARED if each is not _add_request_id]
    rendered: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if log_format == "json":

        def add_node(_logger: object, _method: str, event: EventDict) -> EventDict:
            event["node"] = node
            return event

        rendered += [add_node, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # Plain, because rich's boxes of local variables obscure the important line and may contain secrets.
        plain = structlog.dev.plain_traceback
        rendered += [structlog.dev.ConsoleRenderer(colors=False, sort_keys=False, exception_formatter=plain)]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": rendered,
            }
        },
        "handlers": {
            "line": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                # A terminal should separate a command's output from its log; a collector reads one stream.
                "stream": "ext://sys.stdout" if log_format == "json" else "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["line"], "level": level},
        # Django's default handlers mail admins and colour consoles; one handler at the root is enough.
        "loggers": {"django": {"handlers": [], "level": level, "propagate": True}},
    }
