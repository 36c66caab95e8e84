"""The common Django settings of both services; each service imports them and adds its own."""

from typing import Any

import dj_database_url

from dashboard.env import ROOT, read_env
from dashboard.logs import configure_structlog, logging_config
from dashboard.postgresql import limits
from tidewire.redis.hosts import redis_host

env = read_env()

# Read by the `demo` command, which production refuses.
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

# Pages and sockets must agree on the user, so sessions and hashing are configured for both.
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# Other Django projects on localhost share its cookies, whatever the port; with the same name each would log out the
# users of the other. A browser accepts a `__Host-` cookie only from this host, over HTTPS.
COOKIE_PREFIX = "__Host-tidewire_" if env.secure_cookies else "tidewire_"
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}session"
SESSION_COOKIE_SECURE = env.secure_cookies
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

SQLITE: dict[str, Any] = {
    # Deferred transactions may have to upgrade their lock, which fails at once whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    # Seconds to wait for another writer: longer than any write takes here under load.
    "timeout": 20,
}
DATABASES: dict[str, dict[str, Any]] = {"default": {**dj_database_url.parse(env.database_url)}}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = SQLITE
else:
    DATABASES["default"]["ENGINE"] = "dashboard.postgresql"
    DATABASES["default"]["OPTIONS"] = limits.options(
        DATABASES["default"].get("OPTIONS", {}),
        connect_seconds=env.database_connect_seconds,
        statement_seconds=env.database_statement_seconds,
    )
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
                    # redis-py's default limit, made explicit: a process needs few connections, because its hub is one
                    # member.
                    "max_connections": 100,
                    # A subscription may be idle for hours; redis-py 8 would time it out after 5 s.
                    "socket_timeout": None,
                }
            ]
        },
    }
}

# The library's settings: see tidewire.conf.
TIDEWIRE: dict[str, Any] = {
    "REDIS_URL": env.redis_url,
    "REDIS_SENTINELS": env.redis_sentinels,
    "REDIS_MASTER": env.redis_master,
    "REDIS_SENTINEL_PASSWORD": env.redis_sentinel_password.get_secret_value(),
    "NODE_NAME": env.node_name,
    "ADMIN_HOST": env.admin_host,
    "ADMIN_PORT": env.admin_port,
    "ALLOWED_ORIGINS": env.allowed_origins,
    "DRAIN_SECONDS": env.ws_drain_seconds,
    # A ws process serves sockets only, so requests have tight limits.
    "LIMIT_REQUESTS": True,
    "CONNECTIONS_PER_NODE": env.connections_per_node,
    "SESSION_CHECK_SECONDS": env.session_check_seconds,
    # The presence of users on each document is shown in the list of documents.
    "PRESENCE_INDEXES": {"document": "documents"},
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
BASE_DIR = ROOT

configure_structlog()
LOGGING = logging_config(level=env.log_level, log_format=env.log_format, node=env.node_name)
