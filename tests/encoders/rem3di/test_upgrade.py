"""Checkpoints of earlier versions load; words are those of the graph if they say what they name."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.torch
import torch
from encoder_examples import collate, embedded, rem3di

from skmol3d import hub
from skmol3d.encoders import AtomBatch
from skmol3d.encoders.config import config_to_dict
from skmol3d.encoders.rem3di.words import WordsConfig
from skmol3d.structures import atom_environments, read_molecule

SMILES = ["CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "CCO"]
OLD = {"counted": [0, 1], "spread": [1], "paired": [0], "columns": 4, "folded": 64, "pair_classes": 3}


def old_checkpoint(folder, version):
    """As versions 1 and 2 wrote them: (folder, vocabularies)."""
    molecules = [read_molecule(text).mol for text in SMILES]
    found = np.concatenate([atom_environments(mol) for mol in molecules])
    vocabularies = [np.unique(column[column > 0]) for column in found.T]
    classes = tuple(map(len, vocabularies))
    encoder = rem3di(words=WordsConfig(classes), pooling=("mean", "max"), backbone_pooling=("sum",)).float()
    encoder.words.name_classes(vocabularies)
    hub.save_pretrained(encoder, folder, "Old.")
    config = config_to_dict(encoder.config)
    for name in ("dense", "surface"):
        del config[name]
    config["words"] = {"classes": list(classes), "confidence": 0.5, **OLD}
    state = {k: v for k, v in encoder.state_dict().items() if not k.startswith("compress.")}
    if version == 1:
        state = {k: v for k, v in state.items() if "vocabulary" not in k}
    weights = safetensors.torch.save(state)
    (folder / "model.safetensors").write_bytes(weights)
    manifest = json.loads((folder / "config.json").read_text())
    manifest |= {"version": version, "config": config, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    (folder / "config.json").write_text(json.dumps(manifest))
    return vocabularies


def test_words_of_version_2_are_counted_from_the_graph(tmp_path):
    vocabularies = old_checkpoint(tmp_path, 2)
    encoder = hub.from_pretrained(tmp_path).double()
    sizes = encoder.output_blocks()
    assert list(sizes) == ["words", "invariant", "potential", "chiral"]
    assert sizes["words"] == 4 + 4
    rows = encoder(collate(*map(embedded, SMILES)))
    for row, text in zip(rows, SMILES, strict=True):
        environments = atom_environments(read_molecule(text).mol)
        expected = [(environments[:, k] == bit).sum() for k in (0, 1) for bit in vocabularies[k][:4]]
        assert row[:8].tolist() == expected


def test_version_1_perceives_its_words(tmp_path):
    old_checkpoint(tmp_path, 1)
    encoder = hub.from_pretrained(tmp_path).double()
    assert encoder.words.vocabularies is None
    item = embedded(SMILES[0])
    assert torch.equal(encoder(collate(item)), encoder(collate(item[:4])))


@pytest.mark.parametrize("smiles", SMILES)
def test_words_of_the_bundled_checkpoint_are_those_of_the_molecule(smiles):
    """Whatever its version: counts that do not exceed its atoms, of most of them."""
    encoder = hub.from_pretrained("rem3di-small")
    columns = list(encoder.words.config.columns)
    item = embedded(smiles)
    with torch.no_grad():
        counts = encoder(AtomBatch.from_arrays([item]))[0, : sum(columns)].split(columns)
    heavy = int((item[0] > 1).sum())
    assert all(0 <= part.sum() <= heavy for part in counts)
    assert counts[0].sum() >= 0.8 * heavy
    vocabularies = encoder.words.vocabularies
    for k, part in enumerate(counts if vocabularies is not None else ()):
        expected = [(item[4][:, k] == bit).sum() for bit in vocabularies[k][: len(part)]]
        assert part.tolist() == expected + [0] * (len(part) - len(expected))
