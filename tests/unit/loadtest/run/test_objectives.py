"""The file of objectives: what it must have, and of which kind."""

import pytest

from loadtest.run.objectives import OBJECTIVES, Objectives, ObjectivesError


@pytest.mark.parametrize("value", ['"250"', "nan", "-1", "true", "[250]"])
def test_limit_that_is_no_number_is_refused_at_the_start(tmp_path, value):
    """A text was compared with the figures at the end of the run, which then had no report, and a code of 0."""
    path = tmp_path / "mine.toml"
    path.write_text(OBJECTIVES.read_text().replace("delivery_p95_ms = 250", f"delivery_p95_ms = {value}"))
    with pytest.raises(ObjectivesError, match=r"mine\.toml: delivery_p95_ms must be a number of at least 0"):
        Objectives.read(path)
