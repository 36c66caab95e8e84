"""A password with characters that have a meaning in a URL reaches Redis and PostgreSQL."""

import contextlib
import subprocess

import dj_database_url
import psycopg
import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from redis.asyncio import Redis

from deploy.local.layout import LOOPBACK, free_port
from deploy.local.system import find_program
from tests import postgres
from tests.reports.production_settings import ENCODED, ODD, read
from tidewire.redis.hosts import pool, redis_host


@contextlib.contextmanager
def redis_with_password(password: str):
    port = free_port()
    program = find_program("redis-server", "valkey-server")
    if program is None:
        pytest.skip("there is no redis-server")
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--requirepass", password]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            while "Ready to accept connections" not in (line := process.stdout.readline()):
                assert line, "redis-server ended"
            yield port
        finally:
            process.terminate()


@pytest.mark.integration
async def test_the_oddest_password_reaches_redis():
    """The library and the channel layer must read the same password from one URL."""
    with redis_with_password(ODD) as port:
        url = read(REDIS_URL=f"redis://:{ENCODED}@{LOOPBACK}:{port}/3").redis_url
        client = Redis.from_pool(pool(redis_host(url)))
        assert await client.ping()
        await client.aclose()
        layer = RedisPubSubChannelLayer(hosts=[redis_host(url) | {"socket_timeout": None}])
        channel = await layer.new_channel()
        await layer.group_add("all", channel)
        await layer.group_send("all", {"type": "hello"})
        assert await layer.receive(channel) == {"type": "hello"}
        await layer.flush()


@pytest.mark.integration
def test_the_oddest_password_reaches_postgresql():
    """Django must read the same password from the URL of the database."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.Postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            quoted = psycopg.sql.Literal(ODD).as_string(admin)
            admin.execute(f"CREATE ROLE odd LOGIN PASSWORD {quoted}")
            [[hba]] = admin.execute("SHOW hba_file").fetchall()
            admin.execute(f"COPY (SELECT 'host all all all scram-sha-256') TO '{hba}'")
            admin.execute("SELECT pg_reload_conf()")
        url = f"postgres://odd:{ENCODED}@{LOOPBACK}:{server.port}/postgres?connect_timeout=5"
        parsed = dj_database_url.parse(read(DATABASE_URL=url).database_url)
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
        with psycopg.connect(**{name: parsed[key] for name, key in names.items()}, **parsed["OPTIONS"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("odd",)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=LOOPBACK, port=server.port, user="odd", password="other", dbname="postgres")
