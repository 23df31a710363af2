"""The shipped list of substructures."""

import hashlib
from pathlib import Path

import numpy as np
from rdkit import Chem

from skmol3d.trainer.data import substructures
from skmol3d.trainer.data.membership import substructure_membership
from skmol3d.trainer.data.substructures import read_substructures

LIST = read_substructures()


def test_the_list_is_frozen():
    content = Path(substructures.__file__).with_name("substructures.csv").read_bytes()
    digest = "6bee5f91f8de82e170ea0d03df89119b43dcfaa6011021b67ff6143d72ce7bc5"
    assert hashlib.sha256(content).hexdigest() == digest, "packed sets hold labels of the old list"
    assert len(LIST) == 304
    assert len({s.name for s in LIST}) == len({s.smarts for s in LIST}) == 304


def test_each_is_found_in_its_example():
    for k, substructure in enumerate(LIST):
        query = Chem.MolFromSmarts(substructure.smarts)
        example = Chem.MolFromSmiles(substructure.example)
        members = {a for match in example.GetSubstructMatches(query) for a in match}
        assert members, substructure
        assert set(np.flatnonzero(substructure_membership(example)[:, k])) == members, substructure
