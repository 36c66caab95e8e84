"""Pages while their pods roll out: no client may see an error, and a control shows that errors are possible."""

import threading
import time
from dataclasses import dataclass, field

from tests.http_client import fetch

CLIENTS = 8
WEB = "gunicorn -c services/web/gunicorn.conf.py"
CALM_SECONDS = 3.0


@dataclass
class Readers:
    """Clients that post one after another, because a POST must never be sent again. `with Readers(...)`."""

    url: str
    cookie: str
    token: str
    asked: int = 0
    failed: list[str] = field(default_factory=list)

    def __enter__(self):
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        time.sleep(CALM_SECONDS)
        return self

    def __exit__(self, *_exception):
        time.sleep(CALM_SECONDS)
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _post(self) -> None:
        while not self._end.is_set():
            try:
                page = fetch(
                    f"{self.url}/notifications/read/",
                    fields={"csrfmiddlewaretoken": self.token, "up_to": "0"},
                    headers={"Cookie": self.cookie, "Host": "localhost"},
                )
                text = "" if page.status < 400 else str(page.status)
            except OSError as error:
                text = repr(error)
            self.asked += 1
            if text:
                self.failed.append(text)


def readers(cluster) -> Readers:
    address = cluster.address
    url = f"http://{address.host}:{address.port}"
    cookie = cluster.run("tests/login_cookies.py", "ada")["ada"]
    page = fetch(f"{url}/new/", headers={"Cookie": cookie, "Host": "localhost"})
    token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    set_now = [value.partition(";")[0] for value in page.headers.get_all("Set-Cookie", [])]
    return Readers(url, "; ".join((cookie, *set_now)), token)


def restart(cluster) -> None:
    cluster.kubectl("rollout", "restart", "deployment/web")
    cluster.rolled_out("web")


def test_a_rolling_update_fails_no_request(cluster, note):
    with readers(cluster) as run:
        restart(cluster)
    note(f"rolling update of web: {run.asked} posts of {CLIENTS} clients, {len(run.failed)} failed {set(run.failed)}")
    assert run.asked > 100
    assert run.failed == []


def test_the_control_without_a_drain_fails_some(cluster, note):
    """The same rollout must fail with pods that neither wait nor drain, but die at SIGTERM."""
    with cluster.careless("web", WEB), readers(cluster) as run:
        restart(cluster)
    share = 100 * len(run.failed) / run.asked
    note(f"control: {run.asked} posts, {len(run.failed)} failed ({share:.2f} %) {set(run.failed)}")
    assert run.failed
    assert share < 50, "the control breaks something else"
