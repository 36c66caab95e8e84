"""The pages' settings with the stock live parts."""

from web.settings import *  # noqa: F403 - an overlay, as the services' own
from web.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "experiments.stock_dashboard.apps.Stock"]
