"""Files of a project with live-server tests of its own. `test_live_server.py` runs them by `manage.py test`."""

from tests.contract.runserver_project import FILES

TESTS = """
import asyncio, json, os, urllib.request
from django.contrib.auth.models import User
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import LiveServerTestCase, override_settings
from websockets.asyncio.client import connect
from tidewire.testing import TidewireServerMixin


def page(test, path):
    with urllib.request.urlopen(test.live_server_url + path, timeout=20) as answer:
        return answer.read().decode()


@override_settings(GREETING="overridden")
class LiveTests(TidewireServerMixin, StaticLiveServerTestCase):
    def test_the_page_reads_the_test_s_database_and_settings(self):
        User.objects.create(username="ada")
        expected = {"users": ["ada"], "greeting": "overridden", "debug": False}
        self.assertEqual(json.loads(page(self, "/state/")), expected)

    def test_the_database_is_empty_again(self):
        self.assertEqual(json.loads(page(self, "/state/"))["users"], [])

    def test_static_files_are_served(self):
        self.assertEqual(page(self, "/static/site.css"), "body {}")

    def test_a_socket_is_served_by_another_process(self):
        async def talk():
            async with connect(f"{self.live_server_ws_url}/ws/chat/", proxy=None) as client:
                await client.send("hello")
                return await asyncio.wait_for(client.recv(), 20)
        self.assertEqual(asyncio.run(talk()), "hello")
        self.assertNotEqual(int(page(self, "/pid/")), os.getpid())


class PlainTests(TidewireServerMixin, LiveServerTestCase):
    def test_without_overridden_settings(self):
        self.assertEqual(json.loads(page(self, "/state/"))["greeting"], "as in the file")


if "ENDLESS" in os.environ:
    class EndlessTests(TidewireServerMixin, LiveServerTestCase):
        def test_that_does_not_end(self):
            import time
            time.sleep(3600)
"""

URLS = """
import os
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from django.urls import path
def state(request):
    users = list(User.objects.values_list("username", flat=True))
    return JsonResponse({"users": users, "greeting": settings.GREETING, "debug": settings.DEBUG})
urlpatterns = [path("state/", state), path("pid/", lambda request: HttpResponse(str(os.getpid())))]
"""

LIVE_FILES = FILES | {
    "site_urls.py": URLS,
    "site_settings.py": FILES["site_settings.py"]
    .replace('"NAME": ":memory:"', '"NAME": Path(__file__).parent / "db.sqlite3", "TEST": {"NAME": TEST_NAME}')
    .replace('"tidewire", ', '"tidewire", "django.contrib.contenttypes", "django.contrib.auth", ')
    .replace(
        "SECRET_KEY", 'import os\nTEST_NAME = os.environ.get("TEST_NAME")\nGREETING = "as in the file"\nSECRET_KEY', 1
    ),
    "tests.py": TESTS,
}
