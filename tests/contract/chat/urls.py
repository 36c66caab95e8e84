"""A page, an upload, and the state of the process for the tests."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.contract.chat import consumers


def page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("chat")


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"bytes": sum(len(chunk) for chunk in iter(lambda: request.read(65536), b""))})


def state(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({"disconnected": consumers.DISCONNECTED, "members": consumers.members()})


urlpatterns = [path("", page), path("upload/", upload), path("state/", state)]
