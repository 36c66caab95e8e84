"""A process belongs to a service by its command."""

import pytest

from testkit.service_usage import service_of


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("python -m tidewire ws.asgi:application -b 127.0.0.1 -p 18201", "ws:18201"),
        ("python -m gunicorn -c gunicorn.conf.py web.wsgi:application", "web"),
        ("nginx: worker process", "nginx"),
        ("redis-server 127.0.0.1:18379", "redis"),
        ("python -m locust -f locustfile.py", ""),
    ],
)
def test_services_are_known_by_their_command(command, service):
    assert service_of(command.split()) == service
