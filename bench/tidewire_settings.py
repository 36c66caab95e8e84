"""tidewire under test: the ws service's own settings, as in production."""

from ws.settings import *  # noqa: F403 - an overlay, like those of the services
from ws.settings import TIDEWIRE as _SHIPPED

# All tickets are made before the run, which takes longer than they last. A ticket of any age costs the same to read.
TIDEWIRE = {**_SHIPPED, "TICKET_SECONDS": 24 * 3600}
