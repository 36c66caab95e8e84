"""The chat's journey with a shorter wait for due messages."""

from examples.chat.locustfile import Chatter
from loadtest.run import run_controller

__all__ = ["Chatter"]

run_controller.SETTLE_LEAST_SECONDS = 2.0
