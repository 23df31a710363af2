"""Stability of words: what is counted as the same, and that a graph's words never change."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from skmol3d import hub
from skmol3d.benchmark.experiments import word_stability
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.encoders.rem3di.words import WordsConfig
from skmol3d.structures import atom_environments

SMILES = ["CCCC(C)O", "CCCCO", "C[C@H](N)C(=O)OCC", "CC(=O)Nc1ccccc1", "not a molecule", "CC[C@@H](C)CCO"]


def test_agreement_by_hand():
    rows = np.zeros((2, 3, 4), np.float32)
    rows[0, :, 0] = 2  # the same
    rows[0, 1, 1] = 1  # in one conformer of three
    rows[1, :, 3] = [1, 1, -1]
    assert word_stability.agreement(rows) == (1, 3)


def test_words_of_a_graph_agree_and_random_ones_are_wrong(tmp_path, capsys):
    mols = [Chem.MolFromSmiles(text) for text in SMILES if text != "not a molecule"]
    found = np.concatenate([atom_environments(mol) for mol in mols])
    vocabularies = [np.unique(column[column > 0]) for column in found.T]
    sizes = tuple(map(len, vocabularies))
    small = {"width": 8, "layers": 1, "heads": 2, "pair_width": 4, "readout": 8, "chiral": 4}
    encoder = REM3DI(REM3DIConfig(words=WordsConfig(sizes, sizes, sizes[:2], confidence=0.0), **small))
    encoder.words.name_classes(vocabularies)
    folder = str(hub.save_pretrained(encoder, tmp_path / "words", "Words."))
    pd.DataFrame({"smiles": ["CCCCCCC", *SMILES]}).to_csv(tmp_path / "smiles.csv", index=False)
    options = ["--input", str(tmp_path / "smiles.csv"), "--model", folder, "--last", "6", "--seeds", "3"]
    word_stability.main(options)
    out = capsys.readouterr().out
    assert "## 4 molecules with 3 conformers each" in out
    assert "## Perceived in one conformer each of 5 molecules" in out
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if "%" in line]
    assert [line[3] for line in lines[:2]] == ["100.00%"] * 2
    atoms = sum(mol.GetNumAtoms() for mol in mols)
    assert [line[2] for line in lines[4:]] == [str(atoms)] * 7
    for line in lines[4:10]:
        assert float(line[3][:-1]) + float(line[4][:-1]) == pytest.approx(100, abs=0.02)
    assert float(lines[-1][3][:-1]) < 50


def test_a_checkpoint_without_names_is_refused(tiny_checkpoint, tmp_path):
    pd.DataFrame({"smiles": SMILES}).to_csv(tmp_path / "smiles.csv", index=False)
    with pytest.raises(SystemExit, match="does not say what its words stand for"):
        word_stability.main(["--input", str(tmp_path / "smiles.csv"), "--model", tiny_checkpoint])
