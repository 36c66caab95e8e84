"""The documentation's site is strict: each broken link must fail `make docs`."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from deploy.local.layout import ROOT

pytestmark = pytest.mark.skipif(find_spec("sphinx") is None, reason="needs Sphinx: `make docs` installs it")
INDEX = """\
# Index

## Start

- [Page](page.md): the only page.
"""


@pytest.fixture
def build(tmp_path):
    """Return a function that builds a site of an index and one page, and returns the output of a failed build."""
    (tmp_path / "source").mkdir()

    def run(page, index=INDEX):
        (tmp_path / "source" / "README.md").write_text(index)
        (tmp_path / "source" / "page.md").write_text(page)
        options = ["-W", "--keep-going", "-q", "-D", "llms_txt_enabled=0", "-c", str(ROOT / "docs")]
        command = [sys.executable, "-m", "sphinx", *options, str(tmp_path / "source"), str(tmp_path / "site")]
        env = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'services'}", "TIDEWIRE_ENVIRONMENT": "development"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
        return done.stderr if done.returncode else ""

    return run


def test_a_sound_page_is_built(build, tmp_path):
    assert build("# Page\n\n[back](README.md) and [here](#page)\n") == ""
    assert 'aria-level="2"' in (tmp_path / "site" / "index.html").read_text()


def test_each_link_to_nothing_fails_the_build(build):
    output = build(
        "# Page\n\n[a](gone.md) [b](#lost) [c](README.md#away) ![d](none.png)\n", "# Index\n\n[Page](page.md)\n"
    )
    for fault in ("gone.md", "'lost'", "'away'", "none.png", "toctree"):
        assert fault in output
