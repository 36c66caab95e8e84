"""tidewire under test: the ws service's own settings, as production has them."""

from ws.settings import *  # noqa: F403
