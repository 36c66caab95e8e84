"""The routes of the sockets."""

from django.urls import path, re_path

from ws import consumers

SLUG = "(?P<slug>[a-z0-9_-]{1,60})"

websocket_urlpatterns = [
    path("ws/users/", consumers.UsersConsumer.as_asgi()),
    path("ws/documents/", consumers.DocumentsConsumer.as_asgi()),
    re_path(rf"^ws/document/{SLUG}/(?P<phase>read)/$", consumers.DocumentConsumer.as_asgi()),
    re_path(rf"^ws/document/{SLUG}/(?P<phase>update)/$", consumers.EditorConsumer.as_asgi()),
    path("ws/operations/", consumers.OperationsConsumer.as_asgi()),
    path("ws/notifications/", consumers.NotificationsConsumer.as_asgi()),
]
