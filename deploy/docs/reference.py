"""`make generate`: the pages of docs/ that are generated from the code: settings, close codes, events."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dashboard import events as dashboard_events
from dashboard.env import PREFIX, Env
from deploy.local.env_example import default_text
from deploy.local.layout import ROOT
from tidewire import events
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings
from tidewire.contrib.edit_lease import topic as lease_events
from tidewire.contrib.operations import topic
from tidewire.events import Event, StateEvent, StreamEvent

DOCS = ROOT / "docs"
EXAMPLES = ROOT / "tests" / "golden"
# Modules of public events. Nodes also send other events to each other.
MODULES = (events, dashboard_events, topic, lease_events)
CODES_HEAD = """\
# Close codes

Written by `make generate` from `src/tidewire/close_codes.py`; edit that.

A node closes each socket with one of these codes. After 3000 to 3499 and 4000 to 4499 a client should reconnect. 3500
to 3999 and 4500 to 4999 are final: the user must log in or open another page first. `client.js` acts on them and shows
the meaning.
"""
# A section of a docstring: its title, then indented lines.
SECTION = re.compile(r"\n\n(?P<title>[A-Z][a-z]+):\n(?P<body>(?:(?: {4}.*)?(?:\n|$))+)")
EVENTS_HEAD = """\
# Events

Written by `make generate` from the modules that are named below, and the examples of `tests/golden`; edit those.

An event is a JSON object in a text frame of a socket. `type` names it. Unknown fields are errors, in both directions.
[How an event reaches every browser](fanout.md) has the path of an event.
"""
SETTINGS_HEAD = """\
# Settings

Written by `make generate` from `services/dashboard/env.py` and `src/tidewire/conf.py`; edit those.

An invalid or unknown setting stops the start, and the error names it. Secrets are never part of an error.
"""
ENVIRONMENT_HEAD = f"""\
## Environment variables of the kit

Both services read them. `.env.example` is the same list as a file to copy. Each variable can be a file instead:
`{PREFIX}SECRETS_DIR` names a directory, and each file in it is named like its variable. `required` means in
production; `{PREFIX}ENVIRONMENT=development` has a default for each.
"""
LIBRARY_HEAD = """\
## `TIDEWIRE` in Django's settings

A project that uses the library sets this dict; the kit sets it from the variables above. Seconds are floats, sizes are
bytes. `required` means that the start fails without it.
"""


def pages() -> dict[str, str]:
    """Return the text of each page, by file name."""
    return {"settings.md": settings_page(), "close-codes.md": close_codes_page(), "events.md": events_page()}


def settings_page() -> str:
    environment = (
        _setting(f"{PREFIX}{name.upper()}", field, default_text(field)) for name, field in Env.model_fields.items()
    )
    library = (_setting(name, field, _library_default(field)) for name, field in _library_fields().items())
    return "\n".join((SETTINGS_HEAD, ENVIRONMENT_HEAD, *environment, "", LIBRARY_HEAD, *library, ""))


def close_codes_page() -> str:
    rows = (f"| {c.value} | `{c.name}` | {'final' if c.final else 'reconnect'} | {c.meaning} |" for c in CloseCode)
    return "\n".join((CODES_HEAD, "| code | name | a client should | meaning |", "|--:|---|---|---|", *rows, ""))


def events_page() -> str:
    named = [each for each in _subclasses(Event) if isinstance(each.model_fields["type"].default, str)]
    # Subclasses have the order in which their modules were imported first, which depends on the process.
    public = [each for module in MODULES for each in named if each.__module__ == module.__name__]
    sections: dict[str, list[type[Event]]] = {
        "State topics": [each for each in public if issubclass(each, StateEvent)],
        "Stream topics": [each for each in public if issubclass(each, StreamEvent)],
        "Control messages": [each for each in public if not issubclass(each, (StateEvent, StreamEvent))],
    }
    parts = [EVENTS_HEAD]
    for title, classes in sections.items():
        parts += [f"## {title}", "", *(_event(each) for each in classes)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _setting(name: str, field: FieldInfo, default: str) -> str:
    shown = f"default `{default}`" if default else "default empty"
    fact = "required" if field.is_required() else shown
    return _item(f"**`{name}`** ({fact}). {field.description}")


def _item(text: str) -> str:
    """Return an item of a list in lines."""
    return textwrap.fill(f"- {text}", 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _library_fields() -> Mapping[str, FieldInfo]:
    return Settings.__pydantic_fields__  # type: ignore[attr-defined,no-any-return]  # pydantic types it loosely


def _library_default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "{}" if field.default_factory is dict else str(field.default_factory.__doc__)
    return "" if field.default is PydanticUndefined else repr(field.default)


def _event(event: type[Event]) -> str:
    name = event.model_fields["type"].default
    docstring = inspect.cleandoc(event.__doc__ or "")
    summary = SECTION.sub("", f"{docstring}\n").strip()
    fields = "".join(f"{_item(field)}\n" for field in _fields(docstring))
    example = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    shown = json.dumps(example, indent=2, ensure_ascii=False)
    parts = (f"### `{name}`", f"{summary} From `{event.__module__}`.", fields.rstrip(), f"```json\n{shown}\n```")
    return "\n\n".join(filter(None, parts)) + "\n"


def _fields(docstring: str) -> Iterator[str]:
    """Yield the text of each field that the docstring has under Args."""
    for section in SECTION.finditer(f"{docstring}\n"):
        if section["title"] == "Args":
            for entry in re.split(r"\n(?=\w)", textwrap.dedent(section["body"]).strip()):
                name, _, text = " ".join(entry.split()).partition(": ")
                yield f"`{name}`: {text}"


def _subclasses(event: type[Event]) -> Iterator[type[Event]]:
    for each in event.__subclasses__():
        yield each
        yield from _subclasses(each)


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    main()
