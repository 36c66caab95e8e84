"""`python -m tests.visit`: the product open in two browsers for 45 minutes, one tab of each hidden, a save each minute.

No socket may close, no state may flicker, and no person may be shown wrongly as present or absent. Prints a summary,
and writes every change that a page showed to `var/visit/seen.json`. Failures are listed, with exit status 1.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT
from tests.http_client import fetch, metric
from tests.stack import Stack, StackFactory
from tests.tabs import Chromium, Tab

MINUTES = 45.0
SAVE_SECONDS = 60.0
SAMPLE_SECONDS = 5.0
# By then every page must have its counts, and the sockets of pages that were left must have closed.
CATCH_UP_SECONDS = 15.0
# Values on a page that must not change.
STEADY = ("hidden", "state", "users", "badge", "lease")
SUMMARY = ("state", "users", "lease")
WATCH = """
(() => {
  const seen = [];
  const note = (what, value) => {
    if (value === undefined || value === null) return;
    const last = seen.findLast((each) => each.what === what);
    if (last?.value !== value) seen.push({ what, value, at: Date.now() });
  };
  const look = () => {
    note("hidden", document.hidden);
    note("state", document.querySelector("[data-live-state]")?.dataset.liveState);
    note("users", document.querySelector("[data-users-count]")?.textContent);
    note("badge", document.querySelector('[data-document="SLUG"] [data-badge]')?.textContent.replace(/\\s+/g, " "));
    note("lease", document.querySelector("[data-editor]")?.dataset.lease);
    note("unread", document.querySelector("[data-unread-count]")?.textContent);
  };
  window.visit = { seen, start() { seen.length = 0; look(); } };
  document.addEventListener("visibilitychange", look);
  document.addEventListener("DOMContentLoaded", () => {
    look();
    const everything = { subtree: true, childList: true, attributes: true, characterData: true };
    new MutationObserver(look).observe(document.documentElement, everything);
  });
})();
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidewire-visit-") as directory, StackFactory(Path(directory))() as stack:
        outcome = visit(stack, Path(directory), seconds=asked.minutes * 60)
    results = ROOT / "var" / "visit"
    results.mkdir(parents=True, exist_ok=True)
    (results / "seen.json").write_text(json.dumps(outcome, indent=1), encoding="utf-8")
    wrong = judge(outcome)
    say([*summary(outcome), *(f"WRONG: {each}" for each in wrong), "FAILED" if wrong else "PASSED"])
    return 1 if wrong else 0


def say(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def visit(stack: Stack, directory: Path, *, seconds: float) -> dict[str, Any]:
    """Open the pages, save once a minute, sample the nodes, and return all recorded changes."""
    cookies = stack.sessions("ada", "bob", "eve")
    listing = fetch(f"{stack.url}/", headers={"Cookie": cookies["eve"]}).text
    edited, saved = re.findall(r'data-document="([^"]+)"', listing)[:2]
    with Chromium(directory / "ada") as ada, Chromium(directory / "bob") as bob:
        tabs = {
            "ada, hidden, edits": open_tab(ada, stack, cookies["ada"], f"/documents/{edited}/edit/", edited),
            "bob, hidden, the list": open_tab(bob, stack, cookies["bob"], "/", edited),
        }
        for name, path in (("ada, the list", "/"), ("bob, reads", f"/documents/{edited}/")):
            browser, beside = (ada, "ada, hidden, edits") if name.startswith("ada") else (bob, "bob, hidden, the list")
            tabs[name] = open_tab(browser, stack, "", path, edited, beside=tabs[beside])
            tabs[name].front()
        time.sleep(CATCH_UP_SECONDS)
        for tab in tabs.values():
            tab.evaluate("visit.start()")
        before, closes = unread(tabs), node_metrics(stack)["closes"]
        connections: Counter[int] = Counter()
        saves, failed = 0, 0
        started = time.monotonic()
        while (now := time.monotonic() - started) < seconds:
            if now >= (saves + failed) * SAVE_SECONDS:
                succeeded = save(stack, cookies["eve"], saved, f"Saved at {datetime.now(UTC):%H:%M:%S}.")
                saves, failed = saves + succeeded, failed + (not succeeded)
                say([f"{now / 60:5.1f} min: {saves} saves, sockets {dict(connections)}"])
            connections[int(node_metrics(stack)["connections"])] += 1
            time.sleep(SAMPLE_SECONDS)
        time.sleep(CATCH_UP_SECONDS)
        return {
            "seconds": seconds,
            "saves": saves,
            "failed_saves": failed,
            "closes": node_metrics(stack)["closes"] - closes,
            "connections": dict(connections),
            "unread_before": before,
            "unread_after": unread(tabs),
            "seen": {name: tab.evaluate("visit.seen") for name, tab in tabs.items()},
            "hidden": {name: tab.evaluate("document.hidden") for name, tab in tabs.items()},
        }


def open_tab(browser: Chromium, stack: Stack, cookie: str, path: str, slug: str, *, beside: Tab | None = None) -> Tab:
    """Open a page in a tab and wait until it is live."""
    tab = browser.tab(beside=beside)
    tab.before_load(WATCH.replace("SLUG", slug))
    if cookie:
        tab.cookie(stack.url, cookie)
    tab.goto(f"{stack.url}{path}")
    tab.wait("document.querySelector('[data-live-state]')?.dataset.liveState === 'live'")
    return tab


def unread(tabs: dict[str, Tab]) -> dict[str, int]:
    """Return the count of unread notifications that each tab shows."""
    count = "document.querySelector('[data-unread-count]').textContent"
    return {name: int(tab.evaluate(count)) for name, tab in tabs.items()}


def node_metrics(stack: Stack) -> dict[str, float]:
    """Return the sums over the nodes: open sockets, and sockets closed since their start."""
    pages = [fetch(f"http://127.0.0.1:{node.admin_port}/metrics").text for node in stack.ws]
    names = {"connections": "tidewire_connections", "closes": "tidewire_closes_total"}
    return {key: sum(metric(page, name) for page in pages) for key, name in names.items()}


def save(stack: Stack, cookie: str, slug: str, body: str) -> bool:
    """Save a document through its form, as a browser without scripts does. Return whether it was saved."""
    url = f"{stack.url}/documents/{slug}/edit/"
    page = fetch(url, headers={"Cookie": cookie})
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    title = re.search(r'name="title" value="([^"]*)"', page.text)
    set_now = [value.partition(";")[0] for value in page.headers.get_all("Set-Cookie", [])]
    fields |= {"title": html.unescape(title[1]) if title else "Saved", "body": body}
    answer = fetch(url, fields=fields, headers={"Cookie": "; ".join((cookie, *set_now))})
    return answer.status == 302 and answer.headers["Location"].endswith(f"/{slug}/")


def judge(results: dict[str, Any]) -> list[str]:
    """Return the failures, one line each."""
    wrong = [f"{results['failed_saves']} saves failed"] if results["failed_saves"] else []
    if results["closes"]:
        wrong.append(f"{results['closes']:.0f} sockets closed")
    if len(results["connections"]) != 1:
        wrong.append(f"the number of sockets changed: {results['connections']}")
    for name, seen in results["seen"].items():
        if results["hidden"][name] != ("hidden" in name):
            wrong.append(f"{name}: the tab was {'hidden' if results['hidden'][name] else 'visible'}")
        for quantity in STEADY:
            values = [each["value"] for each in seen if each["what"] == quantity]
            if len(values) > 1:
                wrong.append(f"{name}: {quantity} changed: {values[:8]}")
        if [each["value"] for each in seen if each["what"] == "state"] != ["live"]:
            wrong.append(f"{name}: was not live throughout")
        if [each["value"] for each in seen if each["what"] == "users"] != ["2"]:
            wrong.append(f"{name}: did not show 2 users throughout")
        gained = results["unread_after"][name] - results["unread_before"][name]
        if gained != results["saves"]:
            wrong.append(f"{name}: {gained} of {results['saves']} notifications arrived")
    return wrong


def summary(results: dict[str, Any]) -> list[str]:
    """Return the figures of a run."""
    counts = f"{results['saves']} saves, {results['failed_saves']} failed, {results['closes']:.0f} closes"
    lines = [f"{results['seconds'] / 60:.0f} minutes: {counts}, sockets {results['connections']}"]
    for name, seen in results["seen"].items():
        shown = {quantity: [each["value"] for each in seen if each["what"] == quantity] for quantity in SUMMARY}
        gained = results["unread_after"][name] - results["unread_before"][name]
        lines.append(f"{name}: {shown}, {gained} notifications")
    return lines


if __name__ == "__main__":
    sys.exit(main())
