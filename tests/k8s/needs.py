"""Requirements of these tests; `make k8s-check` installs them."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

KUSTOMIZE = os.environ.get("KUSTOMIZE") or shutil.which("kustomize") or ""
KUSTOMIZE_AND_SCHEMAS = pytest.mark.skipif(
    not (Path(KUSTOMIZE).is_file() and importlib.util.find_spec("kubernetes_validate")),
    reason="k8s: no kustomize or no schemas on this machine; `make k8s-check` brings both and runs this",
)
