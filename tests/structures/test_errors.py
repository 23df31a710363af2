"""RDKit's own words, in one thread or several."""

import numpy as np
import pytest
from rdkit import Chem

from skmol3d.structures import StructureError, read_molecule
from skmol3d.structures.errors import describe_input, rdkit_errors


def test_messages_that_rdkit_cuts_inside_a_character_are_survived():
    lines = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")).splitlines()
    lines[4] = lines[4][:30] + "Å" + lines[4][31:]  # two bytes, of which the second is in the element's field
    with rdkit_errors() as messages:
        assert Chem.MolFromMolBlock("\n".join(lines)) is None
    assert messages == []


def test_reasons_leave_rdkit_s_frame_out():
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")).replace(" O  ", " Qq ")
    with rdkit_errors() as messages:
        assert Chem.MolFromMolBlock(block) is None
    assert messages[0] == "Element 'Qq' not found"


def test_rdkit_s_own_messages_are_captured_and_not_silenced_for_others(capfd):
    with pytest.raises(StructureError):
        read_molecule("C1CC")
    assert capfd.readouterr().err == ""
    assert Chem.MolFromSmiles("C1CC") is None
    assert "unclosed ring" in capfd.readouterr().err


def test_an_input_is_described_alike_in_every_run():
    mol = Chem.MolFromSmiles("CCO")
    assert describe_input(mol) == "<Mol of 3 atoms>"
    mol.SetProp("_Name", "ethanol")
    assert describe_input(mol) == "<Mol 'ethanol' of 3 atoms>"
    assert [describe_input(value) for value in ("C(", None, object())] == ["'C('", "None", "<object>"]
    assert describe_input(np.array(["C("])[0]) == "'C('"
    assert describe_input(np.float32(1.5)) == "1.5"
    assert len(describe_input("C" * 1000)) == 80
