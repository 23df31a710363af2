"""A grid search computes everything once, and says so."""

import re

import pytest

from skmol3d import set_cache_bytes
from skmol3d.benchmark.experiments import cross_validation
from skmol3d.featurizers import cache
from skmol3d.structures import conformer_cache


@pytest.fixture(autouse=True)
def bounds():
    yield
    set_cache_bytes(conformers=conformer_cache.MEMORY_BYTES, rows=cache.MEMORY_BYTES)
    cache.clear()


def numbers(text):
    found = {
        name: int(value) for name, value in re.findall(r"^conformers (made|encoded): (\d+) ", text, re.M)
    }
    return found | {"peak": int(re.search(r"peak memory: (\d+) MB", text)[1])}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Ill-conditioned matrix")
def test_each_molecule_is_computed_once(tiny_checkpoint, tmp_path, capsys):
    file = tmp_path / "molecules.smi"
    file.write_text(
        "C[C@H](N)C(=O)O\nC[C@@H](N)C(=O)O\nOCC\nCCO\nC(\n" + "".join(f"{'C' * i}O\n" for i in range(3, 21))
    )
    options = ["--input", str(file), "--model", tiny_checkpoint, "--blocks", "invariant"]
    cross_validation.main(options)
    out = capsys.readouterr().out
    assert "molecules: 21; without mirror images: 20; fits of the pipeline: 51" in out
    found = numbers(out)
    assert (found["made"], found["encoded"]) == (20, 21)
    assert found["peak"] > 50


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Ill-conditioned matrix")
def test_without_room_for_rows_only_encodings_are_repeated(tiny_checkpoint, capsys):
    options = ["--n", "20", "--model", tiny_checkpoint, "--blocks", "invariant"]
    cross_validation.main([*options, "--row-bytes", "0"])
    found = numbers(capsys.readouterr().out)
    assert found["made"] == 20
    assert found["encoded"] > 1000
