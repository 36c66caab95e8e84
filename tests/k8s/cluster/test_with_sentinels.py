"""Redis with Sentinels during the loss of its primary. Must be the last file, because the product stays changed."""

import pytest

SOCKETS = 500
NAME = "redis-sentinel"
DETECTED_SECONDS = 60


@pytest.fixture(scope="module")
def sentinels(cluster, note):
    """The product with the component redis-sentinel in place of the single Redis."""
    cluster.become("sentinels")
    cluster.kubectl("delete", "deployment/redis", "service/redis")
    cluster.rolled_out(NAME, "statefulset")
    note(f"Sentinels: {primary(cluster)} is the primary")
    return cluster


def primary(cluster, asked: int = 0) -> str:
    """Return the pod that is the primary according to the Sentinels."""
    script = ("sh", "/etc/redis-sentinel/primary.sh")
    output = cluster.kubectl("exec", f"{NAME}-{asked}", "--container=sentinel", "--", *script, check=False)
    return output.partition(".")[0]


def replicas(cluster, pod: str) -> int:
    """Return the number of replicas that follow a pod, from its own report."""
    asked = (
        "REDISCLI_AUTH=$(cat /run/secrets/redis/redis_replication_password) redis-cli --user sentinel info replication"
    )
    output = cluster.kubectl("exec", pod, "--container=redis", "--", "sh", "-c", asked, check=False)
    return int(dict(line.split(":", 1) for line in output.splitlines() if ":" in line).get("connected_slaves", 0))


def another(cluster, than: str) -> str:
    """Wait until the Sentinels of the remaining pods name another primary."""
    asked = next(number for number in range(3) if f"{NAME}-{number}" != than)
    cluster.until(lambda: primary(cluster, asked) not in ("", than), "another primary", DETECTED_SECONDS)
    return primary(cluster, asked)


def whole(cluster) -> None:
    """Wait until the lost pod is back, as a replica."""
    cluster.rolled_out(NAME, "statefulset")
    cluster.until(lambda: replicas(cluster, primary(cluster)) == 2, "two replicas that follow the primary")


@pytest.mark.parametrize(
    ("words", "options"),
    [("deleted, which hands over", ()), ("killed", ("--grace-period=0", "--force"))],
    ids=["deleted", "killed"],
)
def test_the_primary_may_go(sentinels, load, words, options):
    """Sockets must stay, every event must arrive, and the lost pod must follow the new primary."""
    cluster = sentinels
    whole(cluster)
    with load(SOCKETS) as run:
        run.begin()
        before = primary(cluster)
        cluster.kubectl("delete", "pod", before, "--wait=true", *options)
        now = another(cluster, before)
        whole(cluster)
        run.catch_up(f"Redis's primary {before} {words}; then it was {now}")
    assert not run.codes
    run.nothing_lost()
    assert run.counts == {run.people}


def test_whoever_asks_a_sentinel_may_do_no_more(sentinels):
    """The applications' password must only be valid for queries."""
    with_password = "REDISCLI_AUTH=$(cat /run/secrets/sentinel/TIDEWIRE_REDIS_SENTINEL_PASSWORD) redis-cli -p 26379"
    inside = ("exec", f"{NAME}-0", "--container=sentinel", "--", "sh", "-c")
    assert "mymaster" in sentinels.kubectl(*inside, f"{with_password} sentinel masters")
    for forbidden in ("sentinel failover mymaster", "sentinel remove mymaster", "sentinel set mymaster quorum 1"):
        assert "NOPERM" in sentinels.kubectl(*inside, f"{with_password} {forbidden}")
    assert "NOAUTH" in sentinels.kubectl(*inside, "redis-cli -p 26379 sentinel masters")
