"""The speed script on a handful of molecules."""

import re

from skmol3d.benchmark.experiments import (
    speed,
)


def test_speed_prints_each_stage_and_the_ratio(tiny_checkpoint, capsys):
    speed.main(["--n", "8", "--model", tiny_checkpoint])
    out = capsys.readouterr().out
    assert re.search(r"\| parse \| 8 \| 8 \|", out)
    assert re.search(r"\| conformers \(ETKDGv3\) \| 8 \| 8 \|", out)
    assert re.search(r"\| encode \| 8 \| 8 \|", out)
    assert float(re.search(r"encoding / conformer time: ([\d.]+)", out)[1]) > 0
    assert float(re.search(r"text to row / bare ETKDGv3: ([\d.]+) .* each of 8 molecules", out)[1]) > 0


def test_speed_of_decoding(capsys):
    speed.main(["--n", "8", "--model", "mo3enet-small"])
    found = re.search(r"\| decode \| (\d) \| \d \|", capsys.readouterr().out)
    assert int(found[1]) > 0
