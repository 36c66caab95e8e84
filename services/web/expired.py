"""The response to a form with an outdated CSRF token: a login changes the token, in other tabs too.

Django refuses such a form, and so does this view. Its content is not lost: the user can send it again with one click,
under the account of the present login.
"""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import resolve
from django.views.csrf import csrf_failure
from django.views.decorators.cache import never_cache

from web.accounts import page_after_login

LOGIN_VIEWS = ("login", "signup")
# Start of Django's reason if the form came from another site.
OTHER_SITE = "Origin checking failed"


@never_cache
def form_expired(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The view that Django calls for a CSRF failure. `reason` is one of Django's own texts."""
    # Browsers send Origin with every form, and Django has compared it before the token.
    if "Origin" not in request.headers or reason.startswith(OTHER_SITE):
        return csrf_failure(request, reason)
    view = resolve(request.path_info).url_name
    if view in LOGIN_VIEWS:
        return _repeat_login(request)
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    fields = [
        (name, value) for name, values in request.POST.lists() for value in values if name != "csrfmiddlewaretoken"
    ]
    if any("password" in name for name, _ in fields):
        return _load_again(request)
    return render(request, "web/send_again.html", {"fields": fields}, status=403)


def _repeat_login(request: HttpRequest) -> HttpResponse:
    """Handle a second click on Log in or Sign up, after the first has logged in."""
    if request.user.is_authenticated:
        return redirect(page_after_login(request.POST.get("next", ""), request) or settings.LOGIN_REDIRECT_URL)
    return _load_again(request)


def _load_again(request: HttpRequest) -> HttpResponse:
    """Ask for the form again, because a page must not contain a submitted password."""
    messages.info(request, "The page was open for too long. Please fill in the form again.")
    return redirect(request.get_full_path())
