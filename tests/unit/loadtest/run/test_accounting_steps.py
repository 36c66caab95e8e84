"""Each fault of a product is found, and each step of the accounting is needed for that: left out, its fault is not.

The clients are real, the server is a fake. A test of a step runs twice: whole, and with that step replaced by nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import gevent
import pytest

from loadtest.clients import live_socket
from loadtest.clients.live_socket import LiveSocket
from loadtest.clients.subscription import Subscription
from loadtest.run import accounts as accounts_module
from loadtest.run import figures
from loadtest.run.accounts import Accounts
from loadtest.run.audience import Audience
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import HOLD, Run
from loadtest.run.worker_agent import WorkerAgent
from testkit.delivery_ledger import Ledger
from testkit.publications import Publications
from testkit.reconciliation import Tally
from tests.unit.loadtest.clients.test_live_socket import Clock, Server, settle


class Product:
    """A product with a fault, its users, and the run that accounts for them."""

    def __init__(self, monkeypatch):
        self.clock = Clock()
        self.server = Server(self.clock)
        self.run = Run(replace(Objectives.read(), left_grace_seconds=2.0), lambda **_request: None, clock=self.clock)
        self.run.enter(HOLD)
        self.agent = WorkerAgent(self.run, list)
        self.deaf = set()
        self.pages = []
        self.timers = []
        monkeypatch.setattr(live_socket, "open_websocket", self._open)
        monkeypatch.setattr(live_socket, "socket_reader", lambda opened, texts, **_options: opened.reads(texts))
        monkeypatch.setattr(live_socket.gevent, "spawn_later", self._spawn_later)
        self._send, self.server.send = self.server.send, self._send_unless_deaf
        self._errors = {}

    def _open(self, url, **options):
        """Open a connection. Its reader raises the exception of a handler of its messages."""
        made = self.server.open(url, **options)
        read = made.read

        def read_on():
            try:
                read()
            finally:
                if made in self._errors:
                    raise self._errors[made]

        made.read = read_on
        return made

    def _send_unless_deaf(self, connection, event):
        if connection in self.deaf:
            return
        try:
            self._send(connection, event)
        except LookupError as error:
            self._errors[connection] = error
            connection.ended.set()

    def _spawn_later(self, _seconds, function):
        self.timers.append(gevent.Greenlet(function))
        return self.timers[-1]

    def open(self, client, *, deaf=False, on=None):
        position = ("e", len(self.server.events))
        ledger = Ledger(client, position, late_seconds=5.0)
        self.run.accounts.open_page(ledger, position, self.clock.now)
        resume = self.server.resume
        self.server.resume = self.deaf.add if deaf else resume
        page = LiveSocket(
            self.run, "http://a", "/ws/notifications/", cookie="", at=f"e:{position[1]}", ledger=ledger, on=on
        )
        settle()
        self.server.resume = resume
        self.pages.append(page)
        return page

    def publish(self, count=1, *, seconds=1.0):
        for _ in range(count):
            self.server.publish()
            settle()
            self.clock.now += seconds

    def account(self):
        """Return the kinds of faults that the run finds, and whether its sum adds up."""
        found = self.run.accounts.tally(now=self.clock.now)
        words = {kind.value for kind, count in found.counts.items() if count}
        words |= {"unexplained"} if found.unexplained else set()
        words |= {"own fault"} if self.run.figures.own_faults.count() else set()
        words |= {"slow subscription"} if self._subscribe_seconds() > 1.0 else set()
        return words

    def _subscribe_seconds(self):
        return max(self.run.figures.latencies[figures.SUBSCRIBE].counts(), default=0.0) / 1000

    def end(self):
        for each in self.pages:
            each.close()
        settle()


def clean(product):
    """Pages come and go. One is left in the moment in which an event is on its way."""
    ada, bob = product.open("ada"), product.open("bob")
    product.publish(4)
    ada.close()
    product.deaf.update(product.server.connections)
    product.publish(1, seconds=0.5)
    bob.close()
    product.deaf.clear()
    product.open("eve")
    product.publish(3)


def page_that_is_left_without_a_network(product):
    """The run ends the network, and the page is left before it is back."""
    phone, _bob = product.open("ada"), product.open("bob")
    product.publish(1)
    phone.lose_network()
    settle()
    product.publish(5)
    phone.close()


def page_that_is_left_as_soon_as_the_network_is_back(product):
    phone, _bob = product.open("ada"), product.open("bob")
    product.clock.now += 5.0
    phone.lose_network()
    settle()
    product.publish(5)
    resume, product.server.resume = product.server.resume, lambda _connection: None
    phone.find_network()
    settle()
    product.server.resume = resume
    phone.close()


def page_that_is_left_as_soon_as_it_is_opened(product):
    """Its answer took so long that an event after its position is older than the grace."""
    product.open("bob")
    product.publish(1)
    position = ("e", 0)
    ledger = Ledger("ada", position)
    product.clock.now += 9.0
    product.run.accounts.open_page(ledger, position, product.clock.now)
    ledger.left(product.clock.now)
    product.run.accounts.audience.left(position, product.clock.now)


def deaf_socket(product):
    product.open("ada")
    product.open("bob", deaf=True)
    product.publish(3)


def deaf_socket_of_a_page_that_is_left(product):
    product.open("ada")
    bob = product.open("bob", deaf=True)
    product.publish(5)
    bob.close()


def product_that_delivers_nothing(product):
    product.open("ada", deaf=True)
    product.publish(3)
    # The next page shows the end of the stream.
    product.open("bob", deaf=True)


def process_in_which_no_socket_receives(product):
    """Another process has received events that no client here has."""
    ada = product.open("ada", deaf=True)
    product.agent.apply({"ends": {"e": 3}})
    product.clock.now += 5.0
    ada.close()


def event_that_is_known_after_its_page_was_left(product):
    ada, _bob = product.open("ada", deaf=True), product.open("bob")
    product.clock.now += 1.0
    held, product.server.connections[:] = list(product.server.connections), []
    product.publish(3)
    product.clock.now += 5.0
    ada.close()
    # A reading in mid-run, before the others have received these events too.
    product.clock.now += 1.0
    product.run.accounts.tally(as_it_stands=True, now=product.clock.now)
    product.server.connections[:] = held
    for event in product.server.events:
        product.server.send(held[-1], event)


def ledger_that_is_not_kept(product):
    """A mistake of the accounts themselves, which only the sum can find."""
    product.open("ada")
    product.open("bob", deaf=True)
    product.run.accounts.ledgers.pop()
    product.publish(3)


def unanswered_socket(product):
    product.open("ada", deaf=True)
    for timer in list(product.timers):
        timer.start()
    settle()


def page_that_is_left_before_its_answer(product):
    page = product.open("ada", deaf=True)
    page._subscription._since -= 4.0
    page.close()


def mistake_of_the_load_test(product, waiting=0):
    def fail(event):
        raise LookupError(event["id"])

    product.open("bob")
    product.open("ada", on={"notification.created": fail})
    ada = product.server.connections.pop()
    product.publish(waiting)
    product.clock.now += 9.0 * bool(waiting)
    product.server.connections.append(ada)
    for event in product.server.events[:1]:
        product.server.send(ada, event)
    product.publish(3)


def mistake_with_a_backlog(product):
    """Further events have waited to be read for longer than the grace when the load test's code fails."""
    mistake_of_the_load_test(product, waiting=3)


@dataclass
class Step:
    """A step of the accounting: its place, the scenario that needs it, and the word that is right with it."""

    owner: object
    name: str
    scenario: Callable
    found: set
    instead: object = None


def _nothing(*_arguments, **_options):
    return None


def _ledger_without_page(self, client, _page=None, **options):
    _init(self, client, None, **options)


def _discarded_at_once(self, *, before):
    _reconcile(self, before=float("inf"))


def _online_as_before(self, _at):
    self.is_offline = False


def _opened_as_before(self, ledger, position, now):
    _open_page(self, ledger, position, now)
    ledger.ready_at = float("-inf")


_open_page = Accounts.open_page
_init, _reconcile = Ledger.__init__, Accounts.reconcile_closed_pages
STEPS = [
    Step(Ledger, "__init__", deaf_socket, {"lost"}, _ledger_without_page),
    Step(Tally, "_add_record", deaf_socket, {"lost"}),
    Step(Publications, "add", product_that_delivers_nothing, {"lost"}),
    Step(Ledger, "left", deaf_socket_of_a_page_that_is_left, {"missed"}),
    Step(Publications, "end_at", deaf_socket_of_a_page_that_is_left, {"missed"}, lambda *_a, **_k: 0),
    Step(WorkerAgent, "apply", process_in_which_no_socket_receives, {"missed"}),
    Step(
        Accounts,
        "reconcile_closed_pages",
        event_that_is_known_after_its_page_was_left,
        {"missed", "late"},
        _discarded_at_once,
    ),
    Step(Tally, "check_sum", ledger_that_is_not_kept, {"unexplained"}),
    Step(Subscription, "_note_deaf", unanswered_socket, {"deaf"}),
    Step(Subscription, "end", page_that_is_left_before_its_answer, {"slow subscription"}),
    Step(Run, "broke", mistake_of_the_load_test, {"own fault"}),
    Step(Ledger, "failed", mistake_with_a_backlog, {"own fault", "late"}, Ledger.left),
    Step(LiveSocket, "_go_offline", page_that_is_left_without_a_network, set()),
    Step(Ledger, "came_online", page_that_is_left_as_soon_as_the_network_is_back, set(), _online_as_before),
    Step(Accounts, "open_page", page_that_is_left_as_soon_as_it_is_opened, set(), _opened_as_before),
    Step(Audience, "opened", clean, set()),
    Step(Audience, "left", clean, set()),
    Step(Audience, "count_left", clean, set(), lambda self, *_a, **_k: self._left.clear()),
    Step(accounts_module.Accounts, "open_page", clean, set(), lambda self, *_a: self.audience.opened(_a[1])),
]


def outcome(monkeypatch, scenario):
    product = Product(monkeypatch)
    try:
        scenario(product)
        return product.account()
    finally:
        product.end()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step.owner.__name__}.{step.name}")
def test_each_step_is_needed(step, monkeypatch):
    assert outcome(monkeypatch, step.scenario) == step.found
    monkeypatch.setattr(step.owner, step.name, step.instead or _nothing)
    assert outcome(monkeypatch, step.scenario) != step.found


def test_grace_is_what_a_clean_run_needs(monkeypatch):
    assert outcome(monkeypatch, clean) == set()
    monkeypatch.setattr(
        Run, "__post_init__", lambda self: (_post_init(self), setattr(self.accounts, "grace_seconds", 0.0))
    )
    assert outcome(monkeypatch, clean) == {"missed"}


_post_init = Run.__post_init__


def test_event_that_is_read_is_counted_apart_from_its_ledger(monkeypatch):
    product = Product(monkeypatch)
    clean(product)
    assert product.account() == set()
    product.run.accounts.audience.read -= 1
    assert product.account() == {"unexplained"}
    product.end()
