"""Pages that log in and out and change a session, for test_sessions.py: a root of URLs."""

from types import SimpleNamespace

from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path


def _name(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username())


def _out(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth import logout  # noqa: PLC0415 - next to its only use

    logout(request)
    return HttpResponse()


def _flush(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    request.user = SimpleNamespace(pk=None, is_authenticated=False)  # type: ignore[assignment]
    return HttpResponse()


def _in(request: HttpRequest, name: str) -> HttpResponse:
    user = get_user_model().objects.get(username=name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return _name(request)


def _password(request: HttpRequest) -> HttpResponse:
    user = User.objects.get(pk=request.user.pk)
    user.set_password("another")
    user.save()
    update_session_auth_hash(request, user)
    return _name(request)


def _touch(request: HttpRequest) -> HttpResponse:
    request.session["more"] = "data"
    return HttpResponse()


def _cycle(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    return _name(request)


urlpatterns = [
    path("me/", _name),
    path("out/", _out),
    path("flush/", _flush),
    path("in/<name>/", _in),
    path("password/", _password),
    path("cycle/", _cycle),
    path("touch/", _touch),
]
