"""The script that says what a library costs."""

import re

import pytest

from skmol3d.benchmark.experiments import library_speed


def test_the_plan_multiplies_the_cost_of_a_molecule():
    run = library_speed.Run(workers=2, molecules=100, failed=0, seconds=1.8, busy=3.6, bytes=2000, memory=0)
    assert run.cost == pytest.approx(0.036)
    assert library_speed.plan(run) == (
        "10^9 molecules: 10,000 core hours, that is 60 cores for a week or 417 for a day; 0.02 TB of rows"
    )


@pytest.mark.slow
def test_speed_by_workers_and_by_size_is_printed(tmp_path, capsys):
    (tmp_path / "in.smi").write_text("".join("C" * (i % 20 + 1) + "O\n" for i in range(60)))
    library_speed.main(["--input", str(tmp_path / "in.smi"), "--sizes", "20", "40", "--model", "ecfp"])
    out = capsys.readouterr().out
    assert re.findall(r"^\| (\d) \| (\d+) \| 0 \|", out, re.MULTILINE) == [
        ("1", "20"),
        ("1", "40"),
        ("2", "40"),
    ]
    assert "core hours" in out
    assert re.search(r"^2 workers are [\d.]+ times as fast as 1$", out, re.MULTILINE)
