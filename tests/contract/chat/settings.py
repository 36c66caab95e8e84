"""The settings that a Channels project has. None is tidewire's."""

import json
import os

SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
ROOT_URLCONF = "tests.contract.chat.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

_REDIS = {"hosts": [{"address": os.environ.get("CHAT_REDIS"), "socket_timeout": None, "max_connections": 1000}]}
CHANNEL_LAYERS = {
    "shared": {"default": {"BACKEND": "tests.contract.chat.layers.SharingLayer"}},
    "memory": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    "pubsub": {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": _REDIS}},
    "core": {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": _REDIS | {"capacity": 10_000}}},
    "tidewire": {"default": {"BACKEND": "tidewire.layers.RedisChannelLayer", "CONFIG": _REDIS}},
    "broken": {"default": {"BACKEND": "no.such.Layer"}},
}[os.environ.get("CHAT_LAYER", "memory")]

# Only for the tests of a setting.
if "CHAT_TIDEWIRE" in os.environ:
    TIDEWIRE = json.loads(os.environ["CHAT_TIDEWIRE"])
