"""Returns the session's user, for pages with sockets that were closed for good."""

from django.http import JsonResponse

from web.pages import UserRequest, UserView


class Session(UserView):
    """Return the user's name, or redirect to the login page if there is no login."""

    def get(self, request: UserRequest) -> JsonResponse:
        return JsonResponse({"user": request.user.get_username()}, headers={"Cache-Control": "no-store"})
