"""A backup of the database is restored, according to docs/kubernetes.md."""

import pytest

POSTGRES = ("exec", "postgres-0", "--")
ROLE = ("-U", "tidewire", "-d", "tidewire")
# In /tmp, which the pod can write.
BACKUP = "/tmp/backup"  # noqa: S108 - a container's own
SERVING = {"web": 2, "ws": 2, "relay": 1}


@pytest.fixture
def sql(cluster):
    """`sql(statement)` returns the output of PostgreSQL."""
    return lambda statement: cluster.kubectl(*POSTGRES, "psql", *ROLE, "-At", "-c", statement).strip()


def test_a_backup_comes_back(cluster, load, sql):
    """Rows of the backup exist, later ones do not, and sockets must receive all following events."""
    document = (
        "insert into dashboard_document (slug, title, body, author_id, updated_by_id, version, created_at, updated_at) "
        "select '{0}', '{0}', '', min(id), min(id), 1, now(), now() from auth_user"
    )
    cluster.run("tests/login_cookies.py", "ada")
    sql(document.format("before"))
    cluster.kubectl(*POSTGRES, "pg_dump", *ROLE, "-Fc", "-f", BACKUP)
    sql(document.format("after"))

    cluster.kubectl("scale", *(f"deployment/{name}" for name in SERVING), "--replicas=0")
    for name in SERVING:
        cluster.rolled_out(name)
    cluster.kubectl(*POSTGRES, "pg_restore", *ROLE, "--clean", "--if-exists", "--single-transaction", BACKUP)
    cluster.kubectl("delete", "pod", "--selector=app.kubernetes.io/name=redis", "--wait=true")
    for name, count in SERVING.items():
        cluster.kubectl("scale", f"deployment/{name}", f"--replicas={count}")
    for name in ("redis", *SERVING):
        cluster.rolled_out(name)

    assert sql("select slug from dashboard_document where slug in ('before', 'after')") == "before"
    with load(100) as run:
        run.begin()
        run.catch_up("after a restore")
    run.nothing_lost()
