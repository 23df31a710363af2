"""Texts that were parsed before."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.featurizers import cache, encoder_base, spellings
from skmol3d.structures import read_molecule


@pytest.fixture
def featurizer(tiny_checkpoint):
    return REM3DIFeaturizer(tiny_checkpoint, device="cpu")


def test_texts_are_parsed_once(featurizer, monkeypatch):
    read = []

    def reading(value, standardise):
        read.append(value)
        return read_molecule(value, standardise)

    cache.clear()
    for module in (spellings, encoder_base):
        monkeypatch.setattr(module, "read_molecule", reading)
    expected = featurizer.transform(["CCO", "OCC", "CCN"])
    np.testing.assert_array_equal(featurizer.transform(["CCN", "OCC", "CCO"]), expected[::-1])
    assert read == ["CCO", "OCC", "CCN"]
    featurizer.set_params(random_state=1).transform(["CCN", "OCC"])  # of another row the molecule is needed
    assert read[3:] == ["CCN", "OCC"]
    featurizer.set_params(random_state=0, standardise="neutral").transform(["CCO"])
    assert read[5:] == ["CCO"]


def test_threads_may_parse_while_others_embed():
    # RDKit's logs are shared: redirecting them in one thread while another wrote crashed the process.
    odd = ["C(", "OB(O)c1ccccc1", "FS(F)(F)(F)(F)F", "C[Si](C)(C)C", "[Fe]"] * 20
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: ECFPFeaturizer(errors="nan").transform(odd), range(8)))
    for rows in results[1:]:
        np.testing.assert_array_equal(rows, results[0])
