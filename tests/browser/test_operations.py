"""The operations page for staff: live figures, sparklines, and the drain of one node."""

import re

import pytest
from playwright.sync_api import expect

from tests.stack import ONE_WORKER

DRAIN_SECONDS = "6"
# Sockets on the drained node in the picture: more than a node closes at once.
CROWD = 40


@pytest.fixture(scope="module")
def own_stack(stack_factory):
    """A stack for these tests only, because they end some of its nodes."""
    with stack_factory(ws=3, TIDEWIRE_WS_DRAIN_SECONDS=DRAIN_SECONDS, **ONE_WORKER) as stack:
        yield stack


def card(person, name):
    return person.find(f'[data-node="{name}"]')


def test_a_card_for_each_node_with_figures_and_trails(own_stack, seat):
    admin, ada = seat(own_stack, "admin"), seat(own_stack, "ada")
    admin.goto("/operations/")
    expect(admin.find("[data-nodes] > li")).to_have_count(3)
    expect(admin.find("[data-total=nodes]")).to_have_text("3")
    # Three sockets of the page itself, then three of ada's.
    expect(admin.find("[data-total=connections]")).to_have_text("3")
    ada.goto("/")
    expect(admin.find("[data-total=connections]")).to_have_text("6")
    expect(admin.find("[data-total=users]")).to_have_text("2")
    expect(admin.find("[data-names]")).to_contain_text("ada")
    node = card(admin, "ws-0")
    expect(node).to_have_attribute("data-state", "listening")
    assert node.locator("svg.spark").count() == 3
    # A point every five seconds, and the first at once.
    expect(node.locator("polyline").first).to_have_attribute("points", re.compile(r"[\d.]+,[\d.]+ [\d.]+,[\d.]+"))


def test_who_is_no_staff_is_not_let_in(own_stack, seat):
    ada = seat(own_stack, "ada")
    answer = ada.page.goto(f"{own_stack.url}/operations/")
    assert answer.status == 403
    ada.goto("/")
    ada.find("[data-menu] summary").click()
    expect(ada.page.get_by_role("link", name="Operations")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_staff_drain_a_node_and_watch(own_stack, seat, picture, crowd, scheme):
    """The confirmation describes the drain, and the page shows it until the node has ended."""
    node = "ws-0"
    admin = seat(
        own_stack, "admin", color_scheme=scheme, reduced_motion="reduce", viewport={"width": 1280, "height": 1000}
    )
    crowd(own_stack, node, CROWD)
    admin.goto("/operations/")
    expect(card(admin, node).locator("[data-field=connections]")).to_have_text(
        re.compile(rf"{CROWD}|{CROWD + 1}|{CROWD + 2}")
    )
    card(admin, node).get_by_role("link", name=f"Drain {node}").click()
    admin.page.get_by_role("heading", name=f"Drain {node}?").wait_for()
    admin.is_live()
    admin.page.get_by_role("button", name=f"Drain {node}").click()
    expect(admin.page.get_by_role("status").filter(has_text=f"{node} will drain.")).to_be_visible()
    expect(card(admin, node)).to_have_attribute("data-state", "draining")
    expect(card(admin, node).locator("progress")).to_be_visible()
    admin.is_live()
    picture(admin.page, f"operations-{scheme}")
    expect(card(admin, node)).to_have_attribute("data-state", "drained")
    expect(card(admin, node).get_by_role("link", name=f"Drain {node}")).to_be_hidden()
    assert own_stack.processes[node].process.wait(10) == 0
    own_stack.start(node)
    expect(admin.find(f'[data-node="{node}"][data-state="listening"]')).to_be_visible()


def test_a_node_that_died_is_called_silent(own_stack, seat):
    """The node must be shown for half a minute, so that staff can see its loss."""
    admin = seat(own_stack, "admin")
    admin.goto("/operations/")
    expect(card(admin, "ws-2")).to_have_attribute("data-state", "listening")
    own_stack.stop("ws-2", 9)
    expect(card(admin, "ws-2")).to_have_attribute("data-state", "silent")
    expect(card(admin, "ws-2").get_by_role("link")).to_be_hidden()
    expect(admin.find("[data-total=nodes]")).to_have_text("2")
    own_stack.start("ws-2")
