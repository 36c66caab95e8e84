"""The process of a live-server test: reads its options from standard input, and writes its port to the given pipe.

Run as a file, because the settings must be known before any module of the library is imported.
"""

import json
import os
import pickle  # nosec B403
import sys
import threading
from typing import Any


def main(pipe: int) -> None:
    """Serve until SIGTERM, or until the test process has ended."""
    options: dict[str, Any] = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the test process  # nosec B301
    threading.Thread(target=_end_with_the_test, daemon=True).start()
    sys.path[:] = options["path"]
    _configure(options)
    from daphne.endpoints import build_endpoint_description_strings  # noqa: PLC0415
    from django.apps import apps  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler  # noqa: PLC0415
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415
    from django.utils.module_loading import import_string  # noqa: PLC0415

    from tidewire.project import prepared  # noqa: PLC0415
    from tidewire.server.development import DevelopmentServer  # noqa: PLC0415

    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        raise ImproperlyConfigured('settings.ASGI_APPLICATION is missing: set it to "project.asgi.application"')
    application = prepared(import_string(path))
    if apps.is_installed("django.contrib.staticfiles"):
        application = ASGIStaticFilesHandler(application)

    class Server(DevelopmentServer):
        def listen_success(self, port: Any) -> None:
            super().listen_success(port)
            os.write(pipe, json.dumps(port.getHost().port).encode())
            os.close(pipe)

    endpoints = build_endpoint_description_strings(host=options["host"], port=options["port"])
    server = Server(application, endpoints, in_thread=False)
    server.run()
    sys.exit(1 if server.abort_start else 0)


def _configure(options: dict[str, Any]) -> None:
    """Set Django up like the test process: its settings, its databases, and no mail."""
    import django  # noqa: PLC0415
    from django.conf import settings  # noqa: PLC0415
    from django.test.utils import setup_test_environment  # noqa: PLC0415

    if options["settings_module"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = options["settings_module"]
    else:
        settings.configure()
    for name, value in options["settings"].items():
        setattr(settings, name, value)
    for alias, name in options["databases"].items():
        settings.DATABASES[alias]["NAME"] = name
    django.setup()
    setup_test_environment(debug=options["debug"])


def _end_with_the_test() -> None:
    # Not by `sys.stdin`: a thread must not hold its lock when the interpreter ends.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
