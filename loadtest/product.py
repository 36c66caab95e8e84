"""All that the locustfile of a product of your own needs. The import adds the accounts to Locust.

    from loadtest.product import JsonNumber, LiveUser

See `examples/chat/locustfile.py`, and "Load-test your own product" in docs/load-testing.md.
"""

from __future__ import annotations

from loadtest import locust_run
from loadtest.clients.wires import JsonNumber, Tidewire, Wire
from loadtest.journeys.live_user import LiveUser
from loadtest.run.page_error import PageError
from loadtest.run.rooms import Numbered

__all__ = ["JsonNumber", "LiveUser", "Numbered", "PageError", "Tidewire", "Wire", "locust_run"]
