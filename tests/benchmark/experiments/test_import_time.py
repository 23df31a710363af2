"""The script that measures imports sees what they load."""

import re

import pytest

from skmol3d.benchmark.experiments import import_time


@pytest.mark.slow
def test_the_package_alone_loads_nothing_large_and_its_seconds_are_told(capsys, monkeypatch):
    monkeypatch.setattr(import_time, "STATEMENTS", (import_time.PACKAGE,))
    assert import_time.main(["--n", "1"]) == 0
    assert re.search(r"\| `import skmol3d` \| \d+\.\d{3} \| none \|", capsys.readouterr().out)


def test_a_large_library_is_noticed(capsys, monkeypatch):
    monkeypatch.setattr(import_time, "PACKAGE", "import json, numpy")
    monkeypatch.setattr(import_time, "STATEMENTS", ("import json, numpy",))
    assert import_time.main(["--n", "1"]) == 1
    assert "| numpy |" in capsys.readouterr().out
