"""Generates .env.example from the fields of dashboard.env, which has the descriptions of settings."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pydantic_core import PydanticUndefined

from dashboard.env import PREFIX, ROOT, Env

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

HEAD = """\
# Every setting of tidewire. Generated from services/dashboard/env.py by `make generate`.
# A line without # must be set in production; one with # shows its default there. With TIDEWIRE_ENVIRONMENT=development
# nothing has to be set. Secrets can be files instead: TIDEWIRE_SECRETS_DIR names their directory, and each file
# is named like its variable.
"""


def env_example() -> str:
    return HEAD + "".join(_entry(name, field) for name, field in Env.model_fields.items())


def _entry(name: str, field: FieldInfo) -> str:
    lines = textwrap.wrap(field.description or "", width=116, initial_indent="# ", subsequent_indent="# ")
    required = field.is_required()
    lines.append(f"{'' if required else '# '}{PREFIX}{name.upper()}={default_text(field)}")
    return "\n" + "\n".join(lines) + "\n"


def default_text(field: FieldInfo) -> str:
    # A default that is computed at start (the node's name) differs between machines, and its description is enough.
    if field.default is PydanticUndefined:
        return ""
    if isinstance(field.default, bool):
        return str(field.default).lower()
    if isinstance(field.default, tuple):
        return ",".join(field.default)
    return str(field.default).replace(f"{ROOT}/", "")


if __name__ == "__main__":
    (ROOT / ".env.example").write_text(env_example(), encoding="utf-8")
