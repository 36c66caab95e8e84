"""The routes of the sockets."""

from django.urls import path, re_path

from ws import consumers

websocket_urlpatterns = [
    path("ws/users/", consumers.UsersConsumer.as_asgi()),
    path("ws/documents/", consumers.DocumentsConsumer.as_asgi()),
    re_path(r"^ws/document/(?P<slug>[a-z0-9_-]{1,60})/(?P<phase>read|update)/$", consumers.DocumentConsumer.as_asgi()),
    path("ws/notifications/", consumers.NotificationsConsumer.as_asgi()),
]
