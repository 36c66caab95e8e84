"""The routes of the pages. The sockets have their own routes in the ws service."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import path, re_path
from django.views.decorators.cache import cache_control

from tidewire.publishing.web_metrics import metrics_view
from web import accounts, documents, health, notifications, operations, people, session

# Only /login/ may accept passwords, with one set of limits. Another account requires a logout first. Both are methods
# of Django's own site; the stubs allow no other function there.
admin.site.login = accounts.admin_login  # type: ignore[method-assign,assignment]
# The admin logs out by POST only. A GET redirects to the confirmation page.
admin.site.logout = accounts.sign_out_of_admin(admin.site.logout)  # type: ignore[method-assign,assignment]


@cache_control(max_age=24 * 3600)
def icon(_request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to the icon from its default address, for a download or an error of nginx."""
    return HttpResponseRedirect(static("web/icon.svg"))


handler500 = "web.unavailable.server_error"

urlpatterns = [
    path("", documents.DocumentList.as_view(), name="documents"),
    path("new/", documents.DocumentCreate.as_view(), name="document-create"),
    path("documents/<slug:slug>/", documents.DocumentDetail.as_view(), name="document"),
    path("documents/<slug:slug>/edit/", documents.DocumentEdit.as_view(), name="document-edit"),
    path("documents/<slug:slug>/editing/", documents.StartEditing.as_view(), name="document-editing"),
    path("documents/<slug:slug>/delete/", documents.DocumentDelete.as_view(), name="document-delete"),
    path("drafts/saved/", documents.DraftSaved.as_view(), name="draft-saved"),
    path("notifications/", notifications.NotificationList.as_view(), name="notifications"),
    path("notifications/read/", notifications.MarkRead.as_view(), name="notifications-read"),
    path("notifications/unread/", notifications.Unread.as_view(), name="notifications-unread"),
    path("notifications/<int:pk>/", notifications.OpenNotification.as_view(), name="notification"),
    path("people/", people.People.as_view(), name="people"),
    path("operations/", operations.Operations.as_view(), name="operations"),
    # A node's name as the environment allows it.
    re_path(r"^operations/(?P<node>[A-Za-z0-9._-]{1,100})/drain/$", operations.DrainNode.as_view(), name="node-drain"),
    path("login/", accounts.SignIn.as_view(), name="login"),
    path("logout/", accounts.SignOut.as_view(), name="logout"),
    path("session/", session.Session.as_view(), name="session"),
    path("signup/", accounts.SignUp.as_view(), name="signup"),
    path(settings.ADMIN_PATH, admin.site.urls),
    path("favicon.ico", icon),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    # The same for a probe that comes through nginx, like a visitor.
    path("ready", health.readyz),
    path("metrics", metrics_view),
]
