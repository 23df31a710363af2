"""Damaged CIF files: read or refused with a reason, and the same ones for the same seed."""

from skmol3d.benchmark.experiments import fuzz, fuzz_cif


def test_damaged_cif_files(tmp_path):
    found = [
        text for data in fuzz_cif.damaged_cifs(150) for text in fuzz_cif.outcome(tmp_path / "a.cif", data)
    ]
    reasons = [text for text in found if text != "crystal"]
    assert all(reason and "\n" not in reason for reason in reasons)
    # Both happen, or the fuzzer has become too tame or too wild to say anything.
    assert 30 < len(reasons) < len(found) - 30


def test_the_command_reads_them(capsys):
    assert fuzz.main(["--cif", "5"]) == 0
    assert "damaged CIF files" in capsys.readouterr().out


def test_a_seed_stands_for_its_files():
    first, again, other = (list(fuzz_cif.damaged_cifs(5, seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_undamaged_files_are_crystals(tmp_path):
    both = (fuzz_cif.UREA + fuzz_cif.CYANIDE).encode()
    assert fuzz_cif.outcome(tmp_path / "a.cif", both) == ["crystal", "crystal"]


def test_what_escapes_a_reader_is_reported(monkeypatch):
    def fails(path, data):
        raise ZeroDivisionError("x")

    monkeypatch.setattr(fuzz_cif, "outcome", fails)
    assert fuzz_cif.run(2, 0) == ["0 (cif): ZeroDivisionError: x", "1 (cif): ZeroDivisionError: x"]
