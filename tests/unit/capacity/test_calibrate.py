"""The printed lines can be copied into a file of costs."""

import tomllib

from capacity.calibrate import printed
from capacity.stack_under_test import Sizes


def test_costs_are_printed_as_the_file_has_them():
    text = printed({"node": {"rest_core": 0.0146}, "web": {"page_ms": 15.71}}, Sizes())
    assert tomllib.loads(text) == {"node": {"rest_core": 0.0146}, "web": {"page_ms": 15.7}}
