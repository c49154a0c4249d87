"""Batches whose output is at an address. Whoever keeps it, PyArrow writes there; a folder stands for a bucket here."""

from __future__ import annotations

import pytest
from tests.integration.test_batch import batch, error_of, served, whole  # noqa: F401 - a fixture

pytest.importorskip("pyarrow")


@pytest.fixture
def address(tmp_path):
    """An address in a folder that is there already, as a bucket is."""
    (tmp_path / "bucket").mkdir()
    return f"file://{tmp_path}/bucket/out.csv"


def test_an_output_is_made_here_and_copied_whole_to_its_address(served, tmp_path, address):  # noqa: F811
    provider = served(rows=9)
    batch(tmp_path, "-o", address)
    whole(tmp_path, 9)
    there = tmp_path / "bucket" / "out.csv"
    assert there.read_bytes() == (tmp_path / "out.csv").read_bytes()
    there.unlink()
    batch(tmp_path, "-o", address)  # it is finished: it is copied, and nothing is asked again
    assert there.read_bytes() == (tmp_path / "out.csv").read_bytes()
    assert len(provider.chats) == 9


def test_what_cannot_be_copied_is_kept_and_copied_the_next_time(served, tmp_path, address):  # noqa: F811
    provider = served(rows=5)
    (tmp_path / "bucket" / "out.csv").mkdir()  # nothing can be written there
    error = error_of(batch(tmp_path, "-o", address, expect=3))
    assert (error["error_code"], error["details"]["path"]) == ("RLLM_023", address)
    assert "the same command copies it there" in error["recovery_hint"]
    (tmp_path / "bucket" / "out.csv").rmdir()
    batch(tmp_path, "-o", address)
    assert (tmp_path / "bucket" / "out.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()
    assert len(provider.chats) == 5


def test_what_stopped_early_is_copied_as_far_as_it_goes(served, tmp_path, address):  # noqa: F811
    served(rows=20)
    batch(tmp_path, "-o", address, "--max-calls", "4", "--concurrency", "1", expect=10)
    assert (tmp_path / "bucket" / "out.csv").read_text().count("\n") == 5
    batch(tmp_path, "-o", address)
    whole(tmp_path, 20)
    assert (tmp_path / "bucket" / "out.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_an_output_at_an_address_is_not_replaced_unasked(served, tmp_path, address):  # noqa: F811
    provider = served()
    (tmp_path / "bucket" / "out.csv").write_text("theirs")
    assert address in error_of(batch(tmp_path, "-o", address, expect=2))["message"]
    assert (tmp_path / "bucket" / "out.csv").read_text() == "theirs"
    assert not provider.chats
    batch(tmp_path, "-o", address, "--overwrite")
    assert (tmp_path / "bucket" / "out.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_what_an_address_has_to_escape_is_written_here_as_it_is(served, tmp_path):  # noqa: F811
    served(rows=2)
    (tmp_path / "my bucket").mkdir()
    batch(tmp_path, "-o", f"file://{tmp_path}/my%20bucket/my%20out.csv")
    there = tmp_path / "my bucket" / "my out.csv"
    assert there.read_bytes() == (tmp_path / "my out.csv").read_bytes()


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("ftp://host/out.csv", 2, "is no address that an output can be written to"),
        ("https://bucket/out.csv?key=1", 2, "is no address that an output can be written to"),
        ("s3://bucket/", 2, "names no file"),
        ("s3://bucket", 2, "names no file"),
        ("file:///no-such-folder/deep/out.csv", 3, "there is no `/no-such-folder/deep`"),
    ],
)
def test_an_address_that_cannot_be_is_refused_before_a_call(served, tmp_path, target, status, said):  # noqa: F811
    provider = served()
    assert said in error_of(batch(tmp_path, "-o", target, expect=status))["message"]
    assert not provider.chats
    assert not list(tmp_path.glob("out*"))
