"""Login and logout, and sign-up if the operator allows it."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from dashboard import submissions
from web.forms import SignInForm, SignUpForm
from web.generic import FormView
from web.logins import remember_device
from web.names import TAKEN

# The login pages themselves, and URLs that only scripts request, including the admin's. Probes have no name.
NO_PAGES = frozenset({None, "login", "logout", "signup", "session", "notifications-unread", "jsi18n", "autocomplete"})


def page_after_login(url: str, request: HttpRequest) -> str:
    """Return the address if it is a page of this site to which a login may redirect, otherwise an empty text."""
    if not url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure()):
        return ""
    try:
        match = resolve(urlsplit(url).path)
    except (Resolver404, ValueError):
        return ""
    return "" if match.url_name in NO_PAGES else url


class SignIn(LoginView):
    template_name = "web/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        return page_after_login(super().get_redirect_url(), self.request)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(signup=settings.SIGNUP, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        remember_device(self.request, response, form.get_user())
        return response


def admin_login(request: HttpRequest) -> HttpResponseBase:
    """Redirect to the login page, with a message for users without access to the admin. Replaces its login."""
    if not request.user.is_authenticated:
        return redirect_to_login(request.GET.get("next") or reverse("admin:index"))
    if not admin.site.has_permission(request):
        raise PermissionDenied("The admin is for staff. Log out first to use another account.")
    return redirect("admin:index")


class SignOut(LogoutView):
    """Logs out by POST. A GET, such as one from a bookmark or a login's `next`, shows a confirmation page."""

    http_method_names = ["get", "head", "post", "options"]

    @method_decorator(never_cache)
    def get(self, request: HttpRequest, *_args: Any, **_kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect(settings.LOGIN_URL)
        return render(request, "web/logout.html")


def sign_out_of_admin(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Wrap the admin's logout, so that a GET of it redirects to the confirmation page."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if request.method == "POST" else redirect("logout")

    return wrapped


class SignUp(FormView[SignUpForm]):
    template_name = "web/signup.html"
    form_class = SignUpForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not settings.SIGNUP:
            raise Http404("sign-up is off")
        if request.user.is_authenticated:
            return redirect(settings.LOGIN_REDIRECT_URL)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        try:
            with transaction.atomic():
                user = form.save()
                submissions.accept(user, form.cleaned_data["submission"], _draft(user), None)
        except (IntegrityError, ValidationError):
            # Another visitor took the name, or a look-alike of it, after the form had checked it.
            form.add_error("username", TAKEN)
            return self.form_invalid(form)
        return self._enter(user)

    def form_invalid(self, form: SignUpForm) -> HttpResponse:
        user = self._made_before(form)
        return self._enter(user) if user else super().form_invalid(form)

    def _made_before(self, form: SignUpForm) -> User | None:
        """Return the account that a first click on this form created, if the password is the same."""
        user = User.objects.filter(username=form.data.get("username", "").strip(), is_active=True).first()
        password = form.cleaned_data.get("password1")
        if user is None or not password or not user.check_password(password):
            return None
        try:
            submissions.refuse_repeat(user, form.cleaned_data.get("submission"), _draft(user))
        except submissions.Repeated:
            return user
        return None

    def _enter(self, user: User) -> HttpResponse:
        login(self.request, user, backend="django.contrib.auth.backends.ModelBackend")
        response = redirect(settings.LOGIN_REDIRECT_URL)
        remember_device(self.request, response, user)
        return response


def _draft(user: User) -> submissions.Draft:
    return submissions.Draft(title=user.get_username(), body="")
