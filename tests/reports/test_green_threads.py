"""Gunicorn with workers that replace threads by greenlets."""

import subprocess
import sys

import pytest

from deploy.local.layout import LOOPBACK, ROOT
from tests.stack import StackError

START_SECONDS = 60


@pytest.mark.parametrize("worker", ["gevent", "gevent_pywsgi", "gunicorn.workers.ggevent.GeventWorker"])
def test_gevent_workers_are_refused_with_what_to_do(stack_factory, worker):
    """With `--worker-class gevent` every page failed with SynchronousOnlyOperation after the first save."""
    stack = stack_factory()
    stack.layout.make_directories()
    configuration = ROOT / "services/web/gunicorn.conf.py"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gunicorn", "-c", str(configuration), "web.wsgi:application"),
            *("--worker-class", worker, "--bind", f"{LOOPBACK}:{stack.layout.ports.web[0]}"),
        ],
        cwd=ROOT,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout.splitlines()[1:] == [
        f"tidewire cannot start: it needs real threads, and not --worker-class {worker}: leave the option out"
    ]


def test_a_project_of_its_own_is_refused_by_the_library(stack_factory):
    """A server may have replaced the threads before Django starts: the message must name the remedy."""
    stack = stack_factory()
    code = "from gevent import monkey; monkey.patch_all(); import django; django.setup()"
    with pytest.raises(StackError, match=r"needs real threads, and gevent has replaced them.*--worker-class gthread"):
        stack.run("-c", code)
