"""The web service's settings: pages, the admin and static files, in addition to the common settings."""

from csp.constants import NONE, SELF

from dashboard.settings import *
from dashboard.settings import COOKIE_PREFIX, DATABASES, INSTALLED_APPS, env

ROOT_URLCONF = "web.urls"
WSGI_APPLICATION = "web.wsgi.application"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "bulma",  # for its static files only
    "web",
    *INSTALLED_APPS,
]

MIDDLEWARE = [
    "tidewire.requests.RequestIdMiddleware",
    "tidewire.requests.RequestMetricsMiddleware",
    "web.probe_host.ProbeHostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "web.static_files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tidewire.auth.pages.TicketMiddleware",
    "web.user_in_logs.UserInLogsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Must be last: it replaces the response to a refused login.
    "axes.middleware.AxesMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

if DATABASES["default"]["ENGINE"] == "dashboard.postgresql":
    # A connection per request would cost more than the query; a minute limits the connections of idle threads.
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

STATIC_URL = "/static/"
STATIC_ROOT = env.static_root
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "web.storage.HashedStaticFiles"},
}

SIGNUP = env.signup
ADMIN_PATH = env.admin_path

# Limits the attempts at passwords. The numbers are in web.logins, which django-axes calls at each login.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "web.logins.LoginLimits"
AXES_LOCKOUT_CALLABLE = "web.logins.locked_out"
AXES_CLIENT_IP_CALLABLE = "web.logins.client_address"
AXES_VERBOSE = False
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "documents"
LOGOUT_REDIRECT_URL = "login"
# A text of 100,000 characters at most: 4 bytes per character, three per byte when form-encoded, and the other fields.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_300_000

CSRF_TRUSTED_ORIGINS = list(env.allowed_origins)
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrf"
CSRF_COOKIE_SECURE = env.secure_cookies
MESSAGE_STORAGE = "web.messages.Messages"
MESSAGES_COOKIE_NAME = f"{COOKIE_PREFIX}messages"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "web.expired.form_expired"
X_FRAME_OPTIONS = "DENY"
# No inline script and no inline style; Bulma has pictures in its style sheet.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
# nginx overwrites this header, so a client cannot set it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.secure_cookies
# Probes and scrapers use plain HTTP to reach the process or nginx directly.
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|ready|metrics)$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if env.secure_cookies else 0
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # other subdomains belong to other owners; this project cannot promise their HTTPS
    "security.W021",  # the domain's owner should decide about the preload list, which is hard to leave
]
