"""Frames of XYZ files."""

import pytest
from reading_examples import records, structures

from skmol3d.structures import read_molecule


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("1\n", "1 atoms announced, 0 found"),
        ("3\n\nO 0 0 0\n", "3 atoms announced, 1 found"),
        ("1\n\nO 0 0 0\nO 0 0 9\n", None),
        ("1\n\nXx 0 0 0\n", "KeyError: 'Xx'"),
        ("1\n\nO 0 zero 0\n", "not a valid XYZ frame: "),
        ("one\n", "expected a number of atoms, got 'one'"),
        ("-1\n", "expected a number of atoms, got '-1'"),
        ("1999999999997\n\nO 0 0 0\n", "'1999999999997' atoms; at most 1000 are supported"),
        ("9" * 5000 + "\n", "atoms; at most 1000 are supported"),
        ("1001\n\n" + "H 0 0 0\n" * 1001, "'1001' atoms; at most 1000 are supported"),
        ("1\nProperties=species:S:1:pos:R:3:x:R:1999999999\nO 0 0 0 1\n", "not a valid XYZ frame: "),
    ],
)
def test_a_broken_frame_fails_alone(frame, reason):
    good = "1\n\nHe 0 0 0\n"
    found = structures(f"{good}{frame}{good}{good}".encode(), "xyz")
    assert [atoms.symbols[0] for atoms in (found[0], *found[-2:])] == ["He"] * 3
    if reason is None:  # a line too many: a record of its own
        assert found[1].symbols[0] == "O"
        reason = "expected a number of atoms, got 'O 0 0 9'"
    (error,) = found[2 if len(found) == 5 else 1 : -2]
    assert f"stream, line {7 if len(found) == 5 else 4}: " in str(error)
    assert reason in str(error)


def test_frames_carry_what_the_comment_says():
    data = b'1\nname=x charge=2 energy=-3.5 note="a b"\nHe 0 0 0\n'
    (record,) = records(data, "extxyz")
    assert record.name == "x"
    assert record.columns == {"name": "x", "charge": 2, "note": "a b"}
    assert record.structure.get_potential_energy() == -3.5
    assert read_molecule(record.structure).charge == 2
