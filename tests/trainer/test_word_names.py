"""Names of words: the SMARTS match where the column counts, and a checkpoint keeps the table."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Descriptors

from skmol3d import REM3DIFeaturizer, hub
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.encoders.rem3di.properties import PLAIN
from skmol3d.encoders.rem3di.words import WordsConfig
from skmol3d.structures import atom_environments
from skmol3d.trainer import word_names

SMILES = [
    *("CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "CCCS(C)=O", "C[N+](C)(C)CC(=O)[O-]", "FC(Cl)=C1CC1"),
    *("C1CC1", "C1CCCCC1", "C1CCC1", "CC1CC2CC1C2", "c1ccc2[nH]ccc2c1", "O=[N+]([O-])c1ccsc1", "BrCC#N"),
    *("OC1COC1", "OC1CCCCC1", "NCCc1c[nH]cn1", "C[13CH2]O", "CCO", "OB(O)c1ccccc1", "Cn1ccnc1", "[NH4+]"),
]


@pytest.fixture(scope="module")
def encoder():
    """Every environment of the molecules has a column, and some of neighbours have a signed one."""
    found = np.concatenate([atom_environments(Chem.MolFromSmiles(text)) for text in SMILES])
    vocabularies = [np.unique(column[column > 0]) for column in found.T]
    sizes = tuple(map(len, vocabularies))
    small = {"width": 8, "layers": 1, "heads": 2, "pair_width": 4, "readout": 8, "chiral": 4}
    made = REM3DI(REM3DIConfig(words=WordsConfig(sizes, sizes, (3, 5)), **small))
    made.words.name_classes(vocabularies)
    return made.eval()


@pytest.fixture(scope="module")
def table(encoder):
    return word_names.name_words(encoder, ["not a molecule", *SMILES])


def test_every_column_about_an_environment_has_a_name(encoder, table):
    sizes = encoder.output_blocks()
    assert table["column"].tolist() == [
        *(f"words_{i}" for i in range(sizes["words"])),
        *(f"signed_{i}" for i in range(1, sizes["signed"])),
    ]
    assert table["example"].notna().all()
    types = table["kind"] == "atom types"
    assert table["smarts"].notna().tolist() == types.tolist()
    assert table["features"].notna().tolist() == (~types).tolist()


def test_estimated_descriptors_have_rdkit_s_names(encoder):
    config = dataclasses.replace(encoder.config, dense=8, properties=3)
    made = REM3DI(config)
    made.words.name_classes(encoder.words.vocabularies)
    made.properties.index.copy_(torch.tensor([0, 7, 131]))
    table = word_names.name_words(made, SMILES)
    named = table.dropna(subset=["descriptor"])
    assert named["column"].tolist() == ["properties_0", "properties_1", "properties_2"]
    listed = [name for name, _ in Descriptors.descList]
    assert [name.startswith("fr_") for name in listed] == [k >= PLAIN for k in range(len(listed))]
    assert named["descriptor"].tolist() == [listed[0], listed[7], listed[131]]
    assert table["example"].notna().sum() == len(table) - 3


def test_smarts_match_the_atoms_that_have_the_environment(table):
    """All and only: these molecules hold rings of three and four, where a plain tree of atoms would miss."""
    patterns = table[table["kind"] == "atom types"].drop_duplicates(["radius", "identifier"])
    places = {(row.radius, row.identifier): Chem.MolFromSmarts(row.smarts) for row in patterns.itertuples()}
    more = 0
    for text in SMILES:
        mol = Chem.MolFromSmiles(text)
        environments = atom_environments(mol)
        for (radius, identifier), pattern in places.items():
            own = set(np.flatnonzero(environments[:, radius] == identifier).tolist())
            matched = {match[0] for match in mol.GetSubstructMatches(pattern, uniquify=False)}
            assert own <= matched
            more += len(matched - own)
    # Isotopes, which the environments tell and the SMARTS do not, are in two places of one molecule.
    assert more < 30


def test_features_are_named_by_rdkit_s_definitions():
    for text, atom, expected in [
        ("c1ccccc1", 0, "aromatic"),
        ("CCl", 1, "halogen"),
        ("CCO", 2, "donor,acceptor"),
        ("CC(=O)O", 1, "acidic"),
        ("CCN", 2, "donor,acceptor,basic"),
        ("CC", 0, "none, or donor"),
        ("c1cc[nH]c1", 3, "donor,aromatic"),
    ]:
        mol = Chem.MolFromSmiles(text)
        identifier = int(atom_environments(mol)[atom, 3])
        assert word_names._features(identifier) == expected, text


def test_environments_that_no_molecule_has_are_left_without_a_name(encoder):
    table = word_names.name_words(encoder, ["CCO"])
    assert 0 < table["example"].notna().sum() < len(table)
    found = table[table["example"].notna() & (table["radius"] == 0) & (table["kind"] == "atom types")]
    assert set(found["example"]) == {"C", "O"}


def test_words_without_names_are_refused():
    made = REM3DI(REM3DIConfig(words=WordsConfig((3,), (3,))))
    with pytest.raises(ValueError, match="does not say which environments its words stand for"):
        word_names.name_words(made, SMILES)


def test_the_table_goes_into_the_checkpoint_and_the_featurizer_shows_it(encoder, table, tmp_path, capsys):
    folder = hub.save_pretrained(encoder, tmp_path / "checkpoint", "Words.")
    featurizer = REM3DIFeaturizer(str(folder), device="cpu").fit([])
    without = featurizer.describe_columns()
    assert without["smarts"].isna().all()
    pd.DataFrame({"smiles": SMILES}).to_csv(tmp_path / "smiles.csv", index=False)
    word_names.main([str(folder), str(tmp_path / "smiles.csv")])
    assert f"words.csv: {len(table)} of {len(table)} columns have a name" in capsys.readouterr().out
    shown = featurizer.describe_columns()
    assert shown["column"].tolist() == featurizer.get_feature_names_out().tolist()
    pd.testing.assert_frame_equal(shown[without.columns[:6]], without[without.columns[:6]])
    for name in ("smarts", "features", "example"):
        words = shown[shown["identifier"].notna()][name]
        assert words.fillna("").tolist() == table[name].fillna("").tolist()
    chosen = REM3DIFeaturizer(
        str(folder), device="cpu", blocks=("signed",), n_conformers=2, conformer_pooling="all"
    )
    some = chosen.describe_columns()
    assert some["column"].tolist() == chosen.get_feature_names_out().tolist()
    assert set(some["block"]) == {"signed"}
    assert some["smarts"].notna().sum() == 2 * 3 * 8


def test_a_column_counts_only_where_its_smarts_matches(encoder, table, tmp_path):
    folder = hub.save_pretrained(encoder, tmp_path, "Words.", words=table.to_csv(index=False))
    featurizer = REM3DIFeaturizer(str(folder), device="cpu", blocks=("words",))
    rows = featurizer.fit_transform(SMILES[:8])
    columns = featurizer.describe_columns()
    for row, text in zip(rows, SMILES, strict=False):
        mol = Chem.MolFromSmiles(text)
        for count, smarts in zip(row, columns["smarts"], strict=True):
            if count and isinstance(smarts, str):
                assert mol.HasSubstructMatch(Chem.MolFromSmarts(smarts))
    assert rows.any(axis=0).sum() > 50
