"""Records of SD and MOL files."""

import pytest
from reading_examples import block, reasons, records

from skmol3d.structures import StructureError


def test_properties_of_an_sd_record():
    items = ">  7  <a b>  (3)\none\ntwo\n\n> <c>\n> <quoted>\n\n> <empty>\n\n$$$$\n"
    first, second = records(f"{block('CCO', 'x')}{items}bad\n\n\n> <c>\n5\n$$$$\n".encode(), "sdf")
    assert first.columns == {"a b": "one\ntwo", "c": "> <quoted>", "empty": ""}
    assert isinstance(second.structure, StructureError)
    assert second.name == "bad"


@pytest.mark.parametrize(
    ("line", "text", "reason"),
    [
        (3, " Qq", "Cannot convert ' Qq' to unsigned int"),
        (4, "    x", "Cannot process coordinates on line 5"),
    ],
)
def test_rdkit_s_reasons_are_passed_on(line, text, reason):
    lines = block("CCO").splitlines()
    lines[line] = text + lines[line][len(text) :]
    assert reason in reasons("\n".join(lines).encode(), "sdf")[0]


def test_the_last_separator_may_be_missing():
    assert len(records(block("CCO").encode(), "mol")) == 1
    two = f"{block('CCO')}$$$$\n{block('CCO')}\n\n".encode()
    assert reasons(two.replace(b"\n", b"\r\n"), "sdf") == [None, None]


def test_a_record_without_end_is_not_kept_in_memory(monkeypatch):
    monkeypatch.setattr("skmol3d.structures.reading.sdf.MAX_RECORD", 5000)
    data = f"{block('CCO')}$$$$\nendless\n{'x' * 70 + chr(10) * 1}".encode() * 1 + b"y\n" * 5000 + b"$$$$\n"
    found = reasons(data + f"{block('CCN')}$$$$\n".encode(), "sdf")
    assert found[0] is found[2] is None
    assert "a record of more than 5,000 characters" in found[1]
