"""The figure of wins."""

from skmol3d.benchmark.plots import plot_win_rates
from skmol3d.benchmark.report import (
    best_head,
    score_table,
)


def test_plot_is_a_picture(results, tmp_path):
    path = plot_win_rates(score_table(best_head(results, "test")), tmp_path / "wins.png")
    assert path.read_bytes().startswith(b"\x89PNG")
