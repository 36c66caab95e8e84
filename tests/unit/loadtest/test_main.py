"""The command of a run: numbers that it refuses, and how long it waits for Locust."""

import pytest

from loadtest import __main__ as command
from loadtest.__main__ import main


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--users", "0", "--users must be above 0, and is 0"),
        ("--seconds", "0", "--seconds must be above 0, and is 0"),
        ("--seconds", "nan", "--seconds must be above 0, and is nan"),
        ("--seconds", "inf", "--seconds must be above 0, and is inf"),
        ("--pace", "-1", "--pace must be above 0, and is -1"),
        ("--spawn-rate", "0", "--spawn-rate must be above 0, and is 0"),
        ("--workers", "-1", "--workers must be at least 0, and is -1"),
        ("--step-users", "-5", "--step-users must be at least 0, and is -5"),
    ],
)
def test_impossible_number_is_refused_before_the_stack_starts(option, value, said, capsys, monkeypatch):
    """No hold measured nothing and passed, no user became one, and no end of it waited for ever."""
    monkeypatch.setattr(command, "_stack", lambda _options: pytest.fail("the stack was started"))
    with pytest.raises(SystemExit) as ended:
        main([option, value])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ([], 860.0),
        (["--shape", "steps"], 1400.0),
        (["--", "--tags", "talk"], 860.0),
        (["--", "-t", "2h"], None),
        (["--", "--run-time=2h"], None),
        (["--locustfile", "chat.py"], None),
    ],
)
def test_run_of_unknown_length_is_not_ended_as_one_that_hangs(arguments, seconds):
    """-t and a shape of the locustfile decide themselves: a run of two hours was ended after a quarter of one."""
    assert command.hang_seconds(command.parser().parse_args(arguments)) == seconds
