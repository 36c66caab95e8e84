"""A fault of the browser: an editor's tab is hidden for minutes, and its timers run once a minute."""

import time

from tests.faults.scene import people
from tests.hidden import Hidden
from tests.tabs import THROTTLED, running

HIDDEN_SECONDS = 240.0
# Longer than the grace of a leave: by then a page that waits for a throttled timer has left.
DRAINED_SECONDS = 8.0


def test_hidden_tab(start_stack, scene, size, tmp_path):
    """Chromium throttles the tab: no socket closes, no other user sees its editor leave, and the edit lease stays."""
    stack = start_stack(ws=2)
    cookies = stack.sessions("ada", "bob")
    others = size(100, 10)
    pages = people(stack, others)
    with (
        scene(stack, "Hidden tab of an editor", pages=pages, per_second=2, order=97) as run,
        running(tmp_path / "profile", THROTTLED) as chromium,
        Hidden(stack, chromium, cookies, others=others) as hidden,
    ):
        run.begin(f"ada's tab is hidden for {HIDDEN_SECONDS:.0f} s")
        hidden.hide()
        run.until(HIDDEN_SECONDS)
        observed, throttled = hidden.observe(), hidden.throttled_runs
        run.note("its node is drained")
        stack.stop_ws(0)
        run.calm(DRAINED_SECONDS)
        after = hidden.observe()
        began = time.time()
        hidden.show()
        hidden.ada.wait("document.querySelector('[data-editor]').dataset.lease === 'mine'")
        back = time.time() - began
        leavers = sorted({member for _, member in run.watcher.left(run.began)} & {"ada", "bob"})
        run.target("Chromium throttled the tab's timers to one run a minute", throttled >= 2, f"{throttled} runs")
        run.target("no socket closed", observed.closes == 0, f"{observed.closes} did")
        run.target("the hidden page showed Live all the time", observed.states == ["live"], observed.states)
        run.target("it kept its edit lease", observed.leases == ["mine"], observed.leases)
        run.target(
            "another page saw no change of the members", len(observed.seen_by_others) == 1, observed.seen_by_others
        )
        run.target("presence never changed", not leavers, leavers)
        run.target("a drain moved it to the other node with its lease", after.leases == ["mine"], after.leases)
        run.target("and no other page saw it leave", len(after.seen_by_others) == 1, after.seen_by_others)
        run.target("the page is live when it is visible again", back < 5.0, f"{back:.1f} s")
        run.catch_up()
        run.nothing_lost()
        run.verdict()
