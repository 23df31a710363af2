"""Every notebook is committed with its outputs, and runs from top to bottom on the shipped data."""

import nbformat
import pytest

from notebooks.execute import HERE, execute, outputs

NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
BYTES = 400_000
# Pictures that a notebook shows at least, and what must stand among its tables and prints.
SHOWN = {
    "01_does_it_beat_ecfp": (4, "not a valid SMILES"),
    "02_map_of_chemical_space": (3, "on average"),
    "03_screen_a_library": (4, "amides"),
    "04_enantiomers": (2, "standard error of guessing"),
    "05_mo3enet_embed_rotate_decode": (5, "C5H4FN"),
    "06_crystals_from_cif_to_lattice_energy": (4, "| mo3enet | 129 |"),
    "07_fine_tuning": (3, "share of the networks"),
    "08_dynamics": (5, "meV per atom"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all notebooks run: they share the folder in which featurizers keep rows."""
    return tmp_path_factory.mktemp("notebooks")


def check_shown(name, notebook):
    pictures, text = SHOWN[name]
    every = outputs(notebook)
    assert [output for output in every if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in every) >= pictures
    shown = [part for output in every for part in (output.get("text"), *output.get("data", {}).values())]
    assert any(text in part for part in shown if isinstance(part, str))


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == list(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_with_the_outputs_of_one_run(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert path.stat().st_size <= BYTES
    check_shown(path.stem, notebook)


# What Jupyter's own machinery warns of is not ours to mend.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, folder):
    check_shown(path.stem, execute(path, folder, quick=True))
