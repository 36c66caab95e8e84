"""`tidewire.testing` in a project that has not installed the app: the stores work, the rest names the app."""

import os
import subprocess
import sys

from deploy.local.layout import ROOT

PROJECT = """
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"])
import django
django.setup()
from tidewire.testing import MemoryPresence, MemoryStreams
print("stores")
from tidewire.testing import MemoryNode
"""


def test_only_parts_that_read_the_outbox_need_the_app():
    ended = subprocess.run(
        [sys.executable, "-c", PROJECT],
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout == "stores\n", ended.stderr
    assert 'tidewire.testing.MemoryNode needs "tidewire" in INSTALLED_APPS' in ended.stderr
