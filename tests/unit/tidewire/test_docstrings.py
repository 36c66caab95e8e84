"""Each public name has a docstring with its arguments, result, errors and an example, and the examples run.

`docs/stability.md` calls public what the pages of `docs/api.md` list: the names in `__all__` of those modules. In a
module without it they are the names without an underscore.

The sections are those of Google's Python style guide, section 3.8, which Sphinx reads by its extension napoleon.
"""

import ast
import doctest
import inspect
import json
import logging
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.db.models import Model
from django.test.utils import isolate_apps
from django.urls import path
from django.utils.module_loading import import_string

from deploy.local.layout import ROOT
from tidewire.auth.ticket import TicketUser
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings
from tidewire.events import Event
from tidewire.publishing import pruning

DOCS = ROOT / "docs"
GOLDEN = {path.stem for path in (ROOT / "tests" / "golden").glob("*.json")}
MODULES = (*re.findall(r"automodule:: ([\w.]+)", (DOCS / "api.md").read_text("utf-8")), "tidewire.conf")
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example):\n((?:(?:    .*)?\n)+)", re.MULTILINE)
ENTRY = re.compile(r"^    ([\w.]+): \S", re.MULTILINE)

CHANNELS = "a method of Channels with its arguments, which Channels documents"
LAYER = "the interface of a channel layer, which Channels documents"
HANDLER = "called for a client's message: docs/events.md has an example of each"
PAGE = "docs/library.md has the example: test_the_consumer_of_the_page_runs"
TABLE = "tables are private: docs/stability.md"
# The exempt names with the reasons. `Name` has the rules by which whole kinds of names are exempt.
NO_ARGUMENTS = {
    "tidewire.conf.Settings": "each field has a docstring of its own: test_each_setting_has_a_docstring",
    "tidewire.consumers.LiveConsumer.receive": CHANNELS,
    "tidewire.models.OutboxEvent": TABLE,
    "tidewire.models.PublisherTurn": TABLE,
    "tidewire.models.TopicSequence": TABLE,
}
NO_EXAMPLE = {
    **{f"tidewire.consumers.LiveConsumer.{name}": PAGE for name in ("presence", "authorize", "disconnect")},
    **{f"tidewire.consumers.LiveConsumer.{name}": CHANNELS for name in ("connect", "receive")},
    "tidewire.consumers.LiveConsumer.ping": HANDLER,
    **{
        f"tidewire.contrib.edit_lease.consumer.LeaseConsumer.lease_{name}": HANDLER
        for name in ("ask", "hand_over", "keep")
    },
    **{
        f"tidewire.layers.RedisChannelLayer.{name}": LAYER
        for name in ("serialize", "deserialize", "send", "receive", "new_channel", "flush", "group_channel", "shard")
    },
    **{f"tidewire.layers.RedisChannelLayer.group_{name}": LAYER for name in ("add", "discard", "send")},
    "tidewire.models.OutboxEvent": TABLE,
    "tidewire.models.PublisherTurn": TABLE,
    "tidewire.models.TopicSequence": TABLE,
    "tidewire.testing.MemorySocket.open": "MemoryNode.connect calls it",
    **{
        f"tidewire.contrib.presence.{name}.websocket_disconnect": CHANNELS
        for name in ("PresenceMixin", "SyncPresenceMixin")
    },
}


class Name(NamedTuple):
    """A public class, function, method or property."""

    path: str
    module: str
    thing: Any
    owner: "Name | None" = None

    @property
    def doc(self) -> str:
        """The docstring without its indentation. Empty if there is none, or only a dataclass's generated one."""
        text = str((vars(self.thing).get("__doc__") if inspect.isclass(self.thing) else self.thing.__doc__) or "")
        is_generated = inspect.isclass(self.thing) and text.startswith(f"{self.thing.__name__}(")
        return "" if is_generated or not text else f"{inspect.cleandoc(text)}\n"

    @property
    def sections(self) -> dict[str, str]:
        return dict(SECTION.findall(self.doc))

    @property
    def is_inherited(self) -> bool:
        """True if the name has no docstring because it overrides a method that has one, in the library or Channels."""
        if self.doc or self.owner is None:
            return False
        overridden = (getattr(base, self.thing.__name__, None) for base in self.owner.thing.__mro__[1:])
        return any(getattr(method, "__doc__", None) for method in overridden)

    @property
    def function(self) -> Any:
        """The function of a function, method or property; None for a class."""
        if isinstance(self.thing, property):
            return self.thing.fget
        return None if inspect.isclass(self.thing) else inspect.unwrap(self.thing)

    @property
    def arguments(self) -> list[str]:
        """The arguments to describe: of a call, or of a class with the attributes that subclasses or readers use."""
        if self.function:
            return _parameters(self.function)
        bases = {name for base in self.thing.__mro__[1:] for name in inspect.get_annotations(base)}
        if issubclass(self.thing, Model):
            return ["stream", *(field.name for field in self.thing._meta.local_fields)]
        fields = [name for name in inspect.get_annotations(self.thing) if name not in bases and name[0] != "_"]
        init = vars(self.thing).get("__init__")
        # Not the one that a dataclass or a protocol generates.
        is_written = inspect.isfunction(init) and init.__code__.co_filename == inspect.getsourcefile(self.thing)
        return [*fields, *_parameters(init)] if is_written else fields

    @property
    def returns(self) -> bool:
        """True if the result must be described. Of a property, and without arguments, the summary does it."""
        if self.function is None or isinstance(self.thing, property):
            return False
        result = inspect.get_annotations(self.function).get("return")
        return result not in (None, "None") and not (self.doc.startswith("Return ") and not self.arguments)

    @property
    def errors(self) -> set[str]:
        """The exceptions that the function itself raises by name."""
        if self.function is None:
            return set()
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(self.function))).body
        raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
        names = (getattr(error, "func", error) for error in raised)
        return {name.id for name in names if isinstance(name, ast.Name)}

    @property
    def needs_example(self) -> bool:
        """False for a property, an exception, and an event that docs/events.md shows."""
        if isinstance(self.thing, property):
            return False
        if inspect.isclass(self.thing) and issubclass(self.thing, Exception):
            return self.thing.__base__ is Exception
        if inspect.isclass(self.thing) and issubclass(self.thing, Event):
            return self.thing.model_fields["type"].default not in GOLDEN
        return True

    @property
    def has_example(self) -> bool:
        """True if the name has an example, or is used by the example of its class."""
        if ">>> " in self.sections.get("Example", ""):
            return True
        shared = self.owner.sections.get("Example", "") if self.owner else ""
        return bool(re.search(rf"\b{re.escape(self.path.rpartition('.')[2])}\(", shared))


def _parameters(function: Any) -> list[str]:
    """Names of the parameters. One that begins with an underscore is not used."""
    names = inspect.signature(function).parameters
    return [name for name in names if name not in ("self", "cls") and name[0] != "_"]


def _names() -> Iterator[Name]:
    for module_name in MODULES:
        module = import_module(module_name)
        for key, thing in vars(module).items():
            is_own = key[0] != "_" and getattr(thing, "__module__", None) == module_name
            is_public = key in module.__all__ if hasattr(module, "__all__") else is_own
            is_class_or_function = inspect.isclass(thing) or (
                callable(thing) and inspect.isfunction(inspect.unwrap(thing))
            )
            if not is_public or not is_class_or_function:
                continue
            name = Name(f"{module_name}.{key}", module_name, thing)
            yield name
            yield from _members(name) if inspect.isclass(thing) else ()


def _members(owner: Name) -> Iterator[Name]:
    for key, member in vars(owner.thing).items():
        thing = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        is_written_here = getattr(getattr(thing, "fget", thing), "__module__", None) == owner.thing.__module__
        if key[0] != "_" and is_written_here and (inspect.isfunction(thing) or isinstance(thing, property)):
            yield Name(f"{owner.path}.{key}", owner.module, thing, owner)


NAMES = {name.path: name for name in _names()}
DESCRIBED = [name for name in NAMES.values() if not name.is_inherited]
each_name = pytest.mark.parametrize("name", DESCRIBED, ids=lambda name: name.path)
each_example = pytest.mark.parametrize(
    "name", [name for name in DESCRIBED if "Example" in name.sections], ids=lambda name: name.path
)


@each_name
def test_a_docstring_begins_with_a_sentence(name):
    assert re.match(r"\S[^\n]*\.\n", name.doc), "no docstring, or a summary of several lines"


@each_name
def test_each_argument_is_described(name):
    """The arguments are named in their order, under Args, or under Attributes if subclasses define them."""
    described = [entry for key in ("Attributes", "Args") for entry in ENTRY.findall(name.sections.get(key, ""))]
    if name.path in NO_ARGUMENTS:
        assert described == []
    else:
        assert described == name.arguments


@each_name
def test_the_result_is_described(name):
    assert not name.returns or {"Returns", "Yields"} & name.sections.keys()


@each_name
def test_each_error_is_described(name):
    """Errors of a class are those of its methods too."""
    owner = name.owner.sections.get("Raises", "") if name.owner else ""
    assert name.errors <= set(ENTRY.findall(name.sections.get("Raises", "") + owner))


@each_name
def test_there_is_an_example(name):
    is_exempt = name.path in NO_EXAMPLE or (name.owner is not None and name.owner.path in NO_EXAMPLE)
    assert name.has_example or not name.needs_example or is_exempt


def test_each_setting_has_a_docstring():
    """The docstring of a field is its description, which docs/settings.md shows with the default."""
    fields = Settings.__pydantic_fields__
    assert [key for key, field in fields.items() if not field.description] == []


def test_each_exempt_name_exists():
    assert (NO_ARGUMENTS.keys() | NO_EXAMPLE.keys()) - NAMES.keys() == set()


@pytest.fixture
def isolated(monkeypatch):
    """Classes and functions that an example defines or registers are unknown to other tests."""
    monkeypatch.setattr(Event, "known", dict(Event.known))
    monkeypatch.setattr(pruning, "_pruners", {})
    with isolate_apps("tidewire"):
        yield


@each_example
@pytest.mark.django_db
def test_the_example_runs(isolated, name):
    """An example may use the public names of its own module; it must import all others."""
    known = {
        each.thing.__name__: each.thing for each in NAMES.values() if (each.module, each.owner) == (name.module, None)
    }
    # Within the application, so that a model of an example belongs to it.
    names = known | {"__name__": "tidewire.example"}
    example = doctest.DocTestParser().get_doctest(name.sections["Example"], names, name.path, None, 0)
    printed: list[str] = []
    doctest.DocTestRunner().run(example, out=printed.append, clear_globs=False)
    assert "".join(printed) == ""
    assert all(import_string(middleware) for middleware in example.globs.get("MIDDLEWARE", ()))


@pytest.fixture
async def client(isolated, here):
    """Connects to a room of the example in docs/library.md. That example is a consumer with all hooks of a project."""
    [code] = re.findall(r"```python\n(# rooms\.py.*?)```", (DOCS / "library.md").read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"__name__": "tidewire.example"}
    exec(code, names)  # noqa: S102 - an example of this repository
    router = URLRouter([path("ws/rooms/<room>/", names["RoomConsumer"].as_asgi())])

    async def connect(room: str) -> WebsocketCommunicator:
        client = WebsocketCommunicator(router, f"/ws/rooms/{room}/")
        client.scope["user"] = TicketUser(1, "ada")
        accepted, _ = await client.connect()
        assert accepted
        return client

    return connect


async def test_the_consumer_of_the_page_runs(client, here, caplog):
    socket = await client("lobby")
    assert json.loads(await socket.receive_from())["topic"] == "rooms.lobby"
    await socket.send_to('{"type":"room.look"}')
    assert json.loads(await socket.receive_from()) == {"type": "room.shown", "name": "Lobby"}
    assert here.presence.families() == {"rooms": 1}
    with caplog.at_level(logging.INFO):
        await socket.disconnect()
    assert "ada left lobby" in caplog.text
    assert here.presence.families() == {}


async def test_the_consumer_of_the_page_refuses(client):
    socket = await client("cellar")
    assert await socket.receive_output() == {"type": "websocket.close", "code": CloseCode.UNKNOWN}
