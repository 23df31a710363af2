"""Runs of several widths in one table."""

import json

from skmol3d.benchmark.experiments import bottleneck


def write_run(folder, name, vectors, steps, metrics):
    for path in (folder / name, folder / f"{name}.run"):
        path.mkdir()
    (folder / name / "config.json").write_text(json.dumps({"config": {"embedding": vectors}}))
    (folder / f"{name}.run" / "log.csv").write_text(f"step,seconds\n10,1.0\n{steps},9.0\n")
    (folder / f"{name}.run" / "metrics.json").write_text(json.dumps(metrics))
    return str(folder / name)


def test_sets_are_listed_by_width_and_what_is_not_known_is_left_out(tmp_path, capsys):
    labelled = {"matched_atoms": 0.5, "matched_molecules": 0.25, "gap_mae": 0.3, "dipole_mae": 0.1}
    bare = {"matched_atoms": 0.2, "matched_molecules": 0.0}
    wide = write_run(tmp_path, "wide", 24, 1500, {"qm9": labelled, "corpus": bare})
    narrow = write_run(tmp_path, "narrow", 6, 1500, {"qm9": labelled | {"gap_mae": 0.4}, "corpus": bare})
    bottleneck.main([wide, narrow])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [
        "| corpus | 6 | 1,500 | 0.200 | 0.000 |  |  |",
        "| corpus | 24 | 1,500 | 0.200 | 0.000 |  |  |",
        "| qm9 | 6 | 1,500 | 0.500 | 0.250 | 0.400 | 0.100 |",
        "| qm9 | 24 | 1,500 | 0.500 | 0.250 | 0.300 | 0.100 |",
    ]
