"""tidewire under test: the ws service's own settings, as production has them."""

from ws.settings import *  # noqa: F403 - an overlay, like those of the services
from ws.settings import TIDEWIRE as _SHIPPED

# All tickets are made before the run, which outlives them by far; reading one costs the same at any age.
TIDEWIRE = {**_SHIPPED, "TICKET_SECONDS": 24 * 3600}
