"""The list of molecules that a training set shares with a panel."""

import pandas as pd

from skmol3d.benchmark.experiments import seen_molecules


def test_shared_molecules_are_listed_for_every_model(tmp_path, capsys):
    (tmp_path / "tasks").mkdir()
    tasks = {"one": ["CCO", "C[C@H](O)CC", "c1ccccc1"], "two": ["OCC", "CCN"], "none": ["CCCC", "CCCCC"]}
    for name, smiles in tasks.items():
        frame = pd.DataFrame({"smiles": smiles, "y": 0.5})
        frame.to_csv(tmp_path / "tasks" / f"{name}.csv", index=False)
    pd.DataFrame({"text": ["C(C)O", "C[C@@H](O)CC", None, "bad("]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"smiles": ["CCN"]}).to_csv(tmp_path / "b.csv", index=False)
    command = ["--models", "x", "y", "--tasks", tmp_path / "tasks", "--out", tmp_path / "seen.csv"]
    command += ["--training", tmp_path / "a.csv", "text", "--training", tmp_path / "b.csv", "smiles"]
    seen_molecules.main([str(part) for part in command])
    listed = pd.read_csv(tmp_path / "seen.csv").groupby("model")["smiles"].apply(set)
    assert listed.to_dict() == {model: {"CCO", "CCC(C)O", "CCN"} for model in "xy"}
    printed = capsys.readouterr().out
    assert "| one | 3 | 2 |" in printed
    assert "| two | 2 | 2 |" in printed
    assert "none" not in printed
