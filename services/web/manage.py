"""Django's command line for the web service; it can be called from any directory."""

import os
import sys
from pathlib import Path

SERVICES = Path(__file__).resolve().parents[1]


def main() -> None:
    # The directory of this file would shadow top-level modules by names such as `settings`.
    sys.path[0] = str(SERVICES)
    sys.path.insert(1, str(SERVICES.parent / "src"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    if sys.argv[1:2] != ["relay"]:
        # A migration or a command of an operator may take as long as it needs; only a service must fail fast.
        os.environ["TIDEWIRE_DATABASE_STATEMENT_SECONDS"] = "0"
    if sys.argv[1:2] == ["migrate"]:
        # A change of a table waits for its lock, and all pages that use the table wait behind it: less long than a
        # page's statement may take. And a statement ends with its process, which an upgrade may end.
        os.environ.setdefault("PGOPTIONS", "-c lock_timeout=3s -c client_connection_check_interval=1s")

    from django.core.management import execute_from_command_line  # noqa: PLC0415 - needs the path set above

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
