"""How often passwords may be tried: for a user by one address, for a user from anywhere, by an address for anybody.

django-axes counts failures in the database. With Redis away it goes on; with the database away nobody logs in anyway.
"""

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.http import HttpRequest

# The first is what a person needs who does not remember; it is AXES_FAILURE_LIMIT. The others are ten times that: an
# office shares one address, and nobody should be locked out by a few strangers.
TIMES_FOR_USER = 10
TIMES_FOR_ADDRESS = 10


class LoginLimits(AxesDatabaseHandler):
    """axes's counting, with a limit of its own for each of AXES_LOCKOUT_PARAMETERS."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Failures of the user from this address, or what the others' failures weigh beside it."""
        both, user, address = (
            sum(each.values_list("failures_since_start", flat=True))
            for each in self.get_user_attempts(request, credentials)
        )
        return int(max(both, user // TIMES_FOR_USER, address // TIMES_FOR_ADDRESS))

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """A login that succeeds forgives the user's own failures from this address; an attacker's go on counting."""
        count, _ = self.filter_user_attempts(request, credentials)[0].delete()
        return int(count)


def client_address(request: HttpRequest) -> str:
    """The client's address as nginx says it, which overwrites what a client says of itself."""
    return request.headers.get("X-Real-IP") or request.META.get("REMOTE_ADDR", "")
