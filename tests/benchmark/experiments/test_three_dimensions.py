"""The parts of the script that can be checked by hand, and the whole of it on a handful of molecules."""

import numpy as np
import pytest
from rdkit import Chem

from skmol3d.benchmark.experiments import three_dimensions

MOLECULES = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def test_differences_are_taken_within_a_molecule():
    values = np.array([1.0, 2, 3, 6, 10, 10, 10, 10])
    assert three_dimensions.centred(values, MOLECULES).tolist() == [-2, -1, 0, 3, 0, 0, 0, 0]
    # A column that all conformers of a molecule share is zero, not the rounding of a mean.
    shared = np.repeat(np.array([[0.1, 1 / 3], [1e6 / 7, 0.7]], dtype=np.float32), 4, axis=0)[:7]
    assert not three_dimensions.centred(shared, MOLECULES[:7]).any()


def test_ranks_are_compared_within_a_molecule():
    truth = np.array([1.0, 2, 3, 4, 101, 102, 103, 104])
    offset = np.array([0.0, 0, 0, 0, -500, -500, -500, -500])
    assert three_dimensions.within_spearman(truth, truth + offset, MOLECULES) == (1.0, 0.0)
    half = np.array([1.0, 2, 3, 4, 4, 3, 2, 1])
    mean, error = three_dimensions.within_spearman(truth, half, MOLECULES)
    assert (mean, error) == pytest.approx((0.0, 1 / np.sqrt(2)))
    assert three_dimensions.within_spearman(truth, np.ones(8), MOLECULES) == (0.0, 0.0)


def test_conformers_of_the_same_energy_count_once():
    energies = np.array([0.5, 0.0, 0.003, 1.0, 2.0, 0.0, 0.0, 1.0, 2.0])
    molecules = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    # The second molecule has three conformers, too few to rank.
    assert three_dimensions.distinct(energies, molecules).tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("smiles", "fits"),
    [
        ("CCOC(=O)CCc1ccccc1", True),
        ("CCOC(=O)C[C@H](C)c1ccccc1", True),
        ("CCOC(=O)CC(C)c1ccccc1", False),  # conformers of two enantiomers are not those of one molecule
        ("CCOC(=O)CCc1ccccc1.O", False),
        ("[NH3+]CCCCCCCCCC", False),
        ("c1ccc2ccccc2c1", False),
        ("no", False),
    ],
)
def test_molecules_whose_conformers_are_asked_for(smiles, fits):
    assert three_dimensions.suitable(Chem.MolFromSmiles(smiles)) == fits


def test_the_script_labels_once_and_prints_a_table(tiny_checkpoint, tmp_path, capsys):
    source = tmp_path / "mine.smi"
    source.write_text("CCCCCCCO\nCCCCOCCN\nCCCNCCCO\nnonsense\nCCOC(=O)CCCC\nCCOCCOCCO\n")
    arguments = [str(source), str(tmp_path / "out"), "--conformers", "5", "--model", tiny_checkpoint]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(three_dimensions, "HEAVY_ATOMS", (8, 12))
        patch.setattr(three_dimensions, "FOLDS", 2)
        three_dimensions.main(arguments)
        first = capsys.readouterr().out
        three_dimensions.main(arguments)
        again = capsys.readouterr().out
        source.write_text("CCCCCCCO\nCCCCOCCN\n")
        with pytest.raises(ValueError, match="has other molecules"):
            three_dimensions.main(arguments)
    assert "conformers labelled" in first
    assert "conformers labelled" not in again
    assert first.endswith(again)
    assert "| ECFP counts | 2048 | 0.00 ± 0.00 | 0.00 | 0.00 ± 0.00 | 0.00 |" in first
