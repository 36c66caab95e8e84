"""The web service: pages, served by Gunicorn. It holds no socket and never imports ws."""
