"""Lines of text out of bytes."""

import io

from skmol3d.structures.reading import record
from skmol3d.structures.reading.record import Lines


def lines(data):
    return list(Lines(io.BytesIO(data)))


def test_each_line_has_its_own_encoding():
    data = "é\n".encode() + "é\n".encode("latin-1") + b"\xff\n" + "β".encode()
    assert lines(data) == ["é\n", "é\n", "ÿ\n", "β"]


def test_a_byte_order_mark_stands_at_the_beginning_alone():
    mark = b"\xef\xbb\xbf"
    assert lines(mark + b"a\n" + mark + b"b\n") == ["a\n", "\ufeffb\n"]


def test_lines_that_were_put_back_come_again_under_their_numbers():
    found = Lines(io.BytesIO(b"a\nb\nc\nd\n"))
    assert [next(found) for _ in range(3)] == ["a\n", "b\n", "c\n"]
    assert found.number == 3
    found.put_back(["b\n", "c\n"])
    assert found.number == 1
    assert (next(found), found.number) == ("b\n", 2)
    assert list(found) == ["c\n", "d\n"]
    assert found.number == 4


def test_endless_lines_are_cut(monkeypatch):
    monkeypatch.setattr(record, "MAX_LINE", 4)
    assert lines(b"abcdefghij\nk\n") == ["abcd", "efgh", "ij\n", "k\n"]
