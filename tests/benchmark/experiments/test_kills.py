"""Runs killed at random moments."""

import pytest

from skmol3d.benchmark.experiments import kills


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["featurize", "label", "pretrain"])
def test_kills(verb, capsys):
    assert kills.main([verb, "--kills", "1"]) == 0
    assert "nothing was wrong" in capsys.readouterr().out
