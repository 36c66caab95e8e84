"""The web service: pages, served by Gunicorn. It has no sockets and must not import `ws`."""
