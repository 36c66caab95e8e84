"""The build's hook: it makes the templates of `tidewire init` of this repository's own files."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Templates(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's parameter is its own
    def initialize(self, _version: str, _build_data: dict[str, Any]) -> None:
        """Write the templates. An sdist has them, and not the files that they are made of."""
        if Path(self.root, "deploy").is_dir():
            sys.path.insert(0, self.root)
            from deploy.kit import generate  # noqa: PLC0415 - only a checkout has it

            generate.write()
