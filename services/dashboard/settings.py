"""What both services share of Django's settings; each starts from here and adds only what it serves."""

from typing import Any

import dj_database_url

from dashboard.env import ROOT, read_env
from dashboard.logs import configure_structlog, logging_config
from tidewire.redis_host import redis_host

env = read_env()

# The demo data asks: production has none.
TIDEWIRE_ENVIRONMENT = env.environment
DEBUG = env.debug
SECRET_KEY = env.secret_key.get_secret_value()
SECRET_KEY_FALLBACKS = env.fallbacks
ALLOWED_HOSTS = list(env.allowed_hosts)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "tidewire",
    "dashboard",
]

# A page and a socket of one user must agree on who that is, so sessions and hashing are set for both.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Other Django projects on localhost share its cookies, on whatever port; under one name each would log out the other's
# users. A browser takes a `__Host-` cookie only from this very host, over HTTPS.
COOKIE_PREFIX = "__Host-tidewire_" if env.secure_cookies else "tidewire_"
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}session"
SESSION_COOKIE_SECURE = env.secure_cookies
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

SQLITE: dict[str, Any] = {
    # Deferred transactions upgrade their lock midway and then fail at once, whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    # Seconds to wait for another writer: longer than any write here takes under load.
    "timeout": 20,
}
DATABASES = {"default": dict(dj_database_url.parse(env.database_url))}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = SQLITE
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                redis_host(
                    env.redis_url,
                    sentinels=env.redis_sentinels,
                    master=env.redis_master,
                    sentinel_password=env.redis_sentinel_password.get_secret_value(),
                )
                | {
                    # redis-py's own limit, made explicit: a process needs few, because its hub is one member.
                    "max_connections": 100,
                    # A subscription may be idle for hours; redis-py 8 would time it out after 5 s.
                    "socket_timeout": None,
                }
            ]
        },
    }
}

# What the library reads, in tidewire.conf.
TIDEWIRE: dict[str, Any] = {
    "REDIS_URL": env.redis_url,
    "REDIS_SENTINELS": env.redis_sentinels,
    "REDIS_MASTER": env.redis_master,
    "REDIS_SENTINEL_PASSWORD": env.redis_sentinel_password.get_secret_value(),
    "NODE": env.node,
    "ADMIN_HOST": env.admin_host,
    "ADMIN_PORT": env.admin_port,
    "ORIGINS": env.origins,
    "DRAIN_SECONDS": env.ws_drain_seconds,
    "CONNECTIONS_PER_NODE": env.connections_per_node,
    "SESSION_CHECK_SECONDS": env.session_check_seconds,
    # Who is on any document shows on the list of documents.
    "INDEXES": {"document": "documents"},
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
BASE_DIR = ROOT

configure_structlog()
LOGGING = logging_config(level=env.log_level, log_format=env.log_format)
