"""Whose session this is, for pages whose sockets were closed for good."""

from django.http import JsonResponse

from web.pages import UserRequest, UserView


class Session(UserView):
    """The user's name. Without a login the answer is a redirect to the login page, as everywhere."""

    def get(self, request: UserRequest) -> JsonResponse:
        return JsonResponse({"user": request.user.get_username()}, headers={"Cache-Control": "no-store"})
