"""The moment that templates and blocks read, and where it comes from."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from runllm import moments
from runllm.errors import ConfigError
from runllm.schema import Contract
from runllm.settings.layers import unknown_variables
from runllm.testing import FakeClock


def test_without_the_variable_it_is_now_where_the_user_is() -> None:
    before = datetime.now(UTC)
    found = moments.now()
    assert before <= found <= datetime.now(UTC)
    assert found.utcoffset() == datetime.now().astimezone().utcoffset()


@pytest.mark.parametrize(
    ("said", "date", "time", "zone"),
    [
        ("2026-11-30T10:49:28+01:00", "2026-11-30", "10:49:28", "+01:00"),
        ("2026-11-30T10:49:28.75-03:30", "2026-11-30", "10:49:28", "-03:30"),
        ("2026-11-30T10:49:28Z", "2026-11-30", "10:49:28", "+00:00"),
        ("1890-01-01T00:00:00+00:19:32", "1890-01-01", "00:00:00", "+00:19"),  # as clocks went before there were zones
    ],
)
def test_the_variable_says_a_moment(
    monkeypatch: pytest.MonkeyPatch, said: str, date: str, time: str, zone: str
) -> None:
    monkeypatch.setenv(moments.VARIABLE, said)
    found = moments.spelt(moments.now())
    assert found == {"date": date, "time": time, "timezone": zone}
    assert Contract(moments.SCHEMA).problems(found) == ()


def test_without_an_offset_it_is_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(moments.VARIABLE, "2026-11-30T10:49:28")
    here = datetime(2026, 11, 30, 10, 49, 28).astimezone().strftime("%z")
    assert moments.spelt(moments.now()) == {
        "date": "2026-11-30", "time": "10:49:28", "timezone": f"{here[:3]}:{here[3:]}",
    }  # fmt: skip


@pytest.mark.parametrize("said", ["yesterday", "2026-13-01T00:00:00", "10:49"])
def test_what_is_no_moment_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(moments.VARIABLE, said)
    with pytest.raises(ConfigError, match=f"`RUNLLM_NOW` is not a moment in ISO 8601: '{said}'") as caught:
        moments.now()
    assert "RUNLLM_NOW=2026-11-30T10:49:28+01:00" in caught.value.recovery_hint


def test_the_variable_is_no_mistyped_setting() -> None:
    assert unknown_variables({moments.VARIABLE: "2026-11-30"}) == []


def test_a_fake_clock_tells_the_moment_it_was_set_to_and_moves_on_when_something_sleeps() -> None:
    clock = FakeClock("2026-12-31T23:59:50+01:00")
    clock.sleep(15)
    assert clock.moment() == datetime(2027, 1, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert moments.spelt(clock.moment()) == {"date": "2027-01-01", "time": "00:00:05", "timezone": "+01:00"}
