"""The process of the pages, and the modules that it loads."""

import json
import subprocess
import sys

from deploy.local.layout import ROOT

LOADED = """
import json, sys
import web.wsgi
from django.urls import get_resolver
get_resolver().url_patterns
print(json.dumps(sorted(sys.modules)))
"""
# Twisted is no part of the list, because structlog imports it if it is installed.
OF_A_NODE = ("tidewire.server.", "tidewire.fanout.", "tidewire.consumers.", "ws.", "daphne.", "autobahn.")


def test_a_page_s_process_loads_no_node():
    """A node needs its own memory and its own settings, so a page must not load one."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'services'}",
        "DJANGO_SETTINGS_MODULE": "web.settings",
        "TIDEWIRE_ENVIRONMENT": "development",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOADED], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "tidewire.publishing.outbox" in loaded
    assert [name for name in loaded if f"{name}.".startswith(OF_A_NODE)] == []
