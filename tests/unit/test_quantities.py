"""Figures for people: the unit that suits them, and as many digits as matter."""

import pytest

from runllm import quantities


@pytest.mark.parametrize(
    ("write", "figure", "words"),
    [
        (quantities.size, 0, "0 B"),
        (quantities.size, 999, "999 B"),
        (quantities.size, 1234, "1.2 kB"),
        (quantities.size, 98_362_432, "98 MB"),
        (quantities.size, 999_600_000, "1.0 GB"),
        (quantities.size, 1_900_000_000, "1.9 GB"),
        (quantities.size, 9.97e9, "10 GB"),
        (quantities.size, 4e15, "4000 TB"),
        (quantities.percent, 0, "0.0%"),
        (quantities.percent, 0.01, "0.1%"),
        (quantities.percent, 99.99, "99.9%"),
        (quantities.percent, 100, "100.0%"),
        (quantities.percent, None, "-"),
        (quantities.seconds, 0.0123, "12 ms"),
        (quantities.seconds, 0.9999, "1.00 s"),
        (quantities.seconds, 9.996, "10.0 s"),
        (quantities.seconds, 99.96, "1.67 min"),
        (quantities.seconds, 40_000, "11.1 h"),
        (quantities.seconds, 4e7, "11,111.1 h"),
        (quantities.seconds, None, "-"),
        (quantities.dollars, 0, "$0"),
        (quantities.dollars, 1e-9, "<$0.000001"),
        (quantities.dollars, 0.000123, "$0.00012"),
        (quantities.dollars, 0.5, "$0.50"),
        (quantities.dollars, 1234.5, "$1,234.50"),
        (quantities.dollars, None, "-"),
        (quantities.count, 1234567.4, "1,234,567"),
        (quantities.rate, 0.254, "0.25"),
    ],
)
def test_a_figure_is_written_for_a_person(write, figure, words):
    assert write(figure) == words


def test_things_are_counted_in_their_number():
    assert [quantities.some(number, "run") for number in (0, 1, 2000)] == ["0 runs", "1 run", "2,000 runs"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("2.5", 2.5), ("2.5s", 2.5), ("10m", 600), ("1h30m", 5400), ("0", 0), ("1h2m3s", 3723)],
)
def test_a_length_of_time_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert quantities.time_of(text) == seconds


@pytest.mark.parametrize("text", ["", "1h30", "soon", "m", "-1", "1e9", "1m1h", "10 m", "1..2", "inf", "9" * 400])
def test_what_is_no_length_of_time_is_none(text: str) -> None:
    assert quantities.time_of(text) is None
