"""Each molecule embedded once: within the process, across processes, and never wrongly."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import ase
import numpy as np
import pytest
from structure_examples import DIVERSE

from skmol3d.structures import (
    ConformerSettings,
    StructureError,
    TransientError,
    conformer_cache,
    conformers_of,
    embed,
    read_molecule,
)

PLAIN = ConformerSettings()
IMPOSSIBLE = "C1C[C@@H]2C[C@@H]1[C@H]1C[C@@H]21"


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Molecules that went to `generate`, with an empty memory."""
    seen = []
    generate = conformer_cache.generate

    def counting(molecules, *args):
        molecules = list(molecules)
        seen.extend(molecule.smiles for molecule in molecules)
        return generate(molecules, *args)

    monkeypatch.setattr(conformer_cache, "generate", counting)
    conformer_cache.CACHE.memory.clear()
    return seen


def ask(values, settings=PLAIN, **kwargs):
    return list(conformers_of([read_molecule(value) for value in values], settings, **kwargs))


def same(one, other):
    assert one.numbers is not None
    for name in ("numbers", "positions", "energies", "bonds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype
    assert one.charge == other.charge


@pytest.mark.slow
@pytest.mark.parametrize("settings", [PLAIN, ConformerSettings(n_conformers=3, relax="mmff")])
def test_looked_up_conformers_are_those_that_were_made(made, settings):
    first, again = ask(DIVERSE, settings), ask(DIVERSE[::-1], settings)[::-1]
    assert len(made) == len(set(made)) <= len(DIVERSE)
    for smiles, one, other in zip(DIVERSE, first, again, strict=True):
        same(one, other)
        plain = embed(read_molecule(smiles), settings)
        np.testing.assert_allclose(one.positions, plain.positions, atol=1e-6)  # Å: single precision
        np.testing.assert_array_equal(one.energies, plain.energies)
        assert one.positions.dtype == plain.positions.dtype


def test_spellings_and_duplicates_are_made_once(made):
    one, other, _ = ask(["CCO", "OCC", "CCN"])
    assert made == ["CCO", "CCN"]
    same(one, other)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_enantiomers_share_an_entry(made, n_jobs):
    values = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", *["C" * i for i in range(1, 20)]]
    right, left, *_ = ask(values, n_jobs=n_jobs)
    assert len(made) == 20
    np.testing.assert_array_equal(np.sort(right.positions[0], 0), np.sort(-left.positions[0], 0))


@pytest.mark.parametrize(
    "other",
    [{"n_conformers": 2}, {"random_state": 1}, {"relax": "mmff"}, {"time_limit": 20.0}, {"max_attempts": 9}],
)
def test_settings_are_told_apart(made, other):
    ask(["CCCO"])
    ask(["CCCO"], ConformerSettings(**other))
    assert made == ["CCCO", "CCCO"]


def test_other_conventions_or_another_rdkit_start_anew(made, monkeypatch, tmp_path):
    ask(["CCO"], cache_dir=tmp_path)
    monkeypatch.setattr(conformer_cache, "CONVENTIONS", conformer_cache.CONVENTIONS + 1)
    ask(["CCO"], cache_dir=tmp_path)
    monkeypatch.setattr(conformer_cache.rdkit, "__version__", "2099.1")
    ask(["CCO"], cache_dir=tmp_path)
    assert made == ["CCO"] * 3


def test_more_than_a_window(made, monkeypatch):
    monkeypatch.setattr(conformer_cache, "WINDOW", 3)
    monkeypatch.setattr(conformer_cache, "FLUSH", 2)
    values = ["C" * (1 + i % 5) for i in range(11)]
    assert [len(found.numbers) for found in ask(values)] == [3 * len(value) + 2 for value in values]
    assert len(made) == 5


@pytest.mark.slow
def test_the_bound_holds_and_changes_nothing(monkeypatch):
    expected = ask(DIVERSE)
    monkeypatch.setattr(conformer_cache.CACHE.memory, "max_bytes", 3000)
    conformer_cache.CACHE.memory.clear()
    for one, other in zip(ask(DIVERSE + DIVERSE)[len(DIVERSE) :], expected, strict=True):
        same(one, other)
    assert 0 < conformer_cache.CACHE.memory.size <= 3000


def test_brought_coordinates_pass_through_unrounded_and_are_not_kept(made):
    atoms = ase.Atoms("OHH", np.array([[0, 0, 0.2], [0, 0.9, -0.5], [0, -0.8, -0.5]]) + 1000 / 3)
    found, twin, _ = ask([atoms, atoms, "O"])
    np.testing.assert_array_equal(found.positions[0], atoms.positions)
    same(found, twin)
    assert len(conformer_cache.CACHE.memory.get(conformer_cache.CACHE.memory._keys)) == 1


# --- failures --------------------------------------------------------------------------------------------


def test_failures_are_kept_and_stay_in_their_places(made):
    settings = ConformerSettings(max_attempts=3)
    for _ in range(2):
        results = ask(["C", IMPOSSIBLE, "CC"], settings)
        assert [isinstance(result, StructureError) for result in results] == [False, True, False]
        assert "no conformer in 3 x 3 attempts" in str(results[1])
    assert len(made) == 3


def test_deterministic_failures_outlive_the_process(made, tmp_path):
    # REVIEW A7
    settings = ConformerSettings(max_attempts=3)
    for _ in range(2):
        (result,) = ask([IMPOSSIBLE], settings, cache_dir=tmp_path)
        assert "no conformer in 3 x 3 attempts" in str(result)
        conformer_cache.CACHE.memory.clear()
    assert len(made) == 1


def test_time_limits_do_not_outlive_the_process(made, tmp_path):
    settings = ConformerSettings(time_limit=1e-9)
    for _ in range(3):
        (result,) = ask(["CCO"], settings, cache_dir=tmp_path)
        assert isinstance(result, TransientError)
        assert "within the time limit" in str(result)
    assert len(made) == 1  # in memory they stay
    conformer_cache.CACHE.memory.clear()
    ask(["CCO"], settings, cache_dir=tmp_path)
    assert len(made) == 2


# --- folders, threads, laziness --------------------------------------------------------------------------


def test_another_process_finds_them(made, tmp_path):
    code = (
        "import sys, skmol3d.structures as s\n"
        "list(s.conformers_of([s.read_molecule('CCO')], s.ConformerSettings(), cache_dir=sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    (found,) = ask(["OCC"], cache_dir=tmp_path)
    assert not made
    np.testing.assert_allclose(found.positions, embed(read_molecule("CCO"), PLAIN).positions, atol=1e-6)


def test_what_was_made_is_kept_when_the_caller_leaves(made, tmp_path):
    stream = conformers_of([read_molecule("C" * i) for i in range(1, 9)], PLAIN, cache_dir=tmp_path)
    next(stream), next(stream)
    stream.close()
    conformer_cache.CACHE.memory.clear()
    made.clear()
    ask(["C" * i for i in range(1, 4)], cache_dir=tmp_path)
    assert made == ["CCC"]


def test_molecules_are_consumed_a_window_at_a_time(monkeypatch):
    monkeypatch.setattr(conformer_cache, "WINDOW", 4)
    taken = []
    stream = conformers_of((taken.append(i) or read_molecule("C") for i in range(100)), PLAIN)
    assert not taken
    next(stream)
    assert len(taken) == 4


@pytest.mark.slow
def test_threads_get_what_one_gets():
    expected = ask(DIVERSE)
    conformer_cache.CACHE.memory.clear()
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: ask(DIVERSE), range(4)):
            for one, other in zip(results, expected, strict=True):
                same(one, other)
