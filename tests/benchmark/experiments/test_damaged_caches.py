"""The script that damages cache files."""

from skmol3d.benchmark.experiments import (
    damaged_caches,
)


def test_damaged_caches_give_nothing_wrong(capsys):
    assert damaged_caches.main(["--n", "60"]) == 0
    assert "refused" in capsys.readouterr().out
