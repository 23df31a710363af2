"""Damaged files, and whether what escapes from a reader is seen."""

from skmol3d.benchmark.experiments import (
    fuzz,
    fuzz_files,
)


def test_whatever_escapes_a_reader_is_reported():
    def fails():
        raise KeyError("x")

    cases = [("good", lambda: ["molecule"]), ("bad", fails), ("mute", lambda: [""])]
    assert fuzz_files.judge("cases", cases) == ["1 (bad): KeyError: 'x'", "2 (mute): reason ''"]


def test_damaged_files_pass_and_are_counted(capsys):
    assert fuzz.main(["--files", "16"]) == 0
    assert capsys.readouterr().out.startswith("16 damaged files in ")
