"""The ablation: which runs it makes, that they resume, and what its table says."""

import pandas as pd
import pytest
import torch
import yaml
from recipe_examples import BACKBONE, ENCODER, SCHEDULE

from skmol3d import hub
from skmol3d.benchmark.experiments import ablation
from skmol3d.encoders import Potential, PotentialConfig, config_from_dict
from skmol3d.encoders.config import config_to_dict
from skmol3d.trainer.pretrain import parse_recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("potential")
    torch.manual_seed(1)  # the variants with random weights are seeded with 0
    potential = Potential(config_from_dict(PotentialConfig, {"backbone": BACKBONE}))
    hub.save_pretrained(potential, folder / "potential", "# potential\n")
    weights = {k: ENCODER["weights"][k] for k in ("denoising", "environments", "angles")}
    changes = {"potential": str(folder / "potential"), "probe": None, "weights": weights}
    return parse_recipe(ENCODER | changes | {"schedule": SCHEDULE | {"steps": 2}})


def test_variants(recipe):
    found, groups = ablation.variants(recipe), ("denoising", "environments", "geometry")
    assert set(found) == {
        "all",
        *(f"{word} {name}" for word in ("only", "without") for name in groups),
        "all, structure 2d",
        "all, structure none",
        "all, random potential",
        "untrained encoder",
        "pooled backbone",
        "pooled random backbone",
    }
    assert set(found["only geometry"].weights) == {"angles"}
    assert set(found["without geometry"].weights) == {"denoising", "environments"}
    assert found["all, structure none"].model["structure"] == "none"
    assert recipe.model.get("structure") is None


@pytest.mark.slow
def test_runs_and_resumes(recipe, data_root, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(config_to_dict(recipe)))
    options = ["--data", str(data_root), "--probe", str(data_root / "probe"), "--out", str(tmp_path / "out")]
    ablation.main([str(path), *options, "--seeds", "0"])
    first = capsys.readouterr().out.split("| variant")[1]
    # Without environments there are no words; an untrained random backbone is not the trained one.
    results = pd.read_csv(tmp_path / "out" / "results.csv").set_index("variant")
    assert results.loc["pooled backbone", "probe_r2"] != results.loc["pooled random backbone", "probe_r2"]
    assert results.loc["all", "probe_r2"] != results.loc["untrained encoder", "probe_r2"]
    assert results["aligned_rmsd"].notna().sum() == 7  # the runs with geometry: all four, only, without two
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("result.json")}
    assert len(before) == len(results) == 13
    ablation.main([str(path), *options, "--seeds", "0"])
    assert capsys.readouterr().out.split("| variant")[1] == first
    assert before == {p: p.stat().st_mtime_ns for p in before}
    ablation.main([str(path), *options, "--seeds", "0", "--variants", "untrained encoder"])
    assert [line.split(" |")[0] for line in capsys.readouterr().out.splitlines()[-2:]] == [
        "| all",
        "| untrained encoder",
    ]
    with pytest.raises(SystemExit):
        ablation.main([str(path), *options, "--variants", "all, structure 4d"])
    assert "'all, structure 2d'" in capsys.readouterr().err


def test_table():
    rows = [
        ("all", 0.5, 1.0, 4.0),
        ("all", 0.7, 3.0, 4.0),
        ("only x", 0.1, 4.0, 2.0),
        ("only x", 0.1, 4.0, 2.0),
    ]
    results = pd.DataFrame(rows, columns=["variant", "probe_r2", "a.value.mae", "b.value.mae"])
    results = results.reindex(columns=[*results, *ablation.MARKS])
    lines = ablation.table(results).splitlines()
    assert lines[2].startswith("| all | 0.600 ± 0.141 | 1.000 ± 0.354 |  |")
    assert lines[3].startswith("| only x | 0.100 ± 0.000 | 1.250 ± 0.000 |  |")
