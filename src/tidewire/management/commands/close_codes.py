"""`manage.py close_codes`: generates the client's table of close codes."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

import tidewire
from tidewire.close_codes import as_javascript


class Command(BaseCommand):
    help = "Write static/tidewire/close-codes.js from tidewire/close_codes.py."

    def handle(self, *args: Any, **options: Any) -> None:
        target = Path(tidewire.__file__).parent / "static" / "tidewire" / "close-codes.js"
        target.write_text(as_javascript())
        self.stdout.write(f"wrote {target.name}")
