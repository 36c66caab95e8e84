"""A tenth of the users: open a document to write, save on a schedule, and go on to another document."""

from __future__ import annotations

import itertools

import gevent
from locust import tag, task

from loadtest.clients.browser import CONFLICT, PageError
from loadtest.journeys.dashboard_user import DashboardUser
from loadtest.run.accounts import Save

# With one editor for ten users, this time between saves makes N/60 saves a second for N users.
SAVE_SECONDS = 6.0
# After these, the editor goes to another document, so that badges change.
SAVES_PER_DOCUMENT = 3


class Editor(DashboardUser):
    weight = 1

    def arrive(self) -> None:
        self.saves = itertools.count(1)
        self.slugs = self.browser.get("/").slugs
        self.slug = self.random.choice(self.slugs)
        self.open_form()
        # If all editors saved in the same moment, there would be a burst every few seconds.
        self.every = SAVE_SECONDS * self.run_state.pace
        self.next_save = self.run_state.clock() + self.random.uniform(1.0, self.every)

    @tag("write")
    @task
    def write(self) -> None:
        self.rest_when_over()
        gevent.sleep(max(0.0, self.next_save - self.run_state.clock()))
        self.rest_when_over()
        # The schedule does not wait for the server: a late save counts from its intended time.
        intended, self.next_save = self.next_save, self.next_save + self.every
        self.save(intended)
        self.think(0.5, 1.0)
        self.rest_when_over()
        self.open_form()

    def be_absent(self) -> None:
        super().be_absent()
        self.run_state.end_editing(self.slug, self.name)

    def open_form(self) -> None:
        self.form = self.open(f"/documents/{self.slug}/edit/", "/documents/[slug]/edit/")
        # The page's script sends this when the page is shown.
        token = {"csrfmiddlewaretoken": self.form.field("csrfmiddlewaretoken")}
        self.browser.post(f"/documents/{self.slug}/editing/", token, "/documents/[slug]/editing/")
        self.run_state.begin_editing(self.slug, self.name)
        self.socket(f"/ws/document/{self.slug}/update/", name="/ws/document/[slug]/update/")

    def save(self, intended: float) -> None:
        run, form = self.run_state, self.form
        # The title is the mark by which the save's event can be recognised.
        number = next(self.saves)
        mark = f"{self.slug}, save {number} of {self.name}"
        fields = {name: form.field(name) for name in ("csrfmiddlewaretoken", "version", "submission", "body")}
        run.accounts.saves[mark] = Save(intended, sent=run.clock())
        run.accounts.in_flight += 1
        try:
            page = self.browser.post(form.path, {**fields, "title": mark}, "/documents/[slug]/edit/ (save)")
        except PageError:
            # The result of the save is unknown, so it does not count as confirmed; Locust has the failure.
            return
        finally:
            run.accounts.in_flight -= 1
        if page.status == CONFLICT:
            # Another user saved first: a conflict, no fault. The next form has their version.
            run.accounts.conflicts += 1
            return
        run.accounts.saves[mark].confirmed = True
        run.end_editing(self.slug, self.name)
        self.show(page)
        self.socket(f"/ws/document/{self.slug}/read/", name="/ws/document/[slug]/read/")
        if number % SAVES_PER_DOCUMENT == 0:
            self.slug = self.random.choice(self.slugs)
