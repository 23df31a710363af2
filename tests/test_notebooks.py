"""Every notebook runs from top to bottom on the shipped data, and is committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# Pictures that a notebook shows at least, and what must stand among its tables and prints.
SHOWN = {
    "01_does_it_beat_ecfp": (3, "| rem3di – ecfp | MAE |"),
    "05_mo3enet_embed_rotate_decode": (4, "C5H4FN"),
    "06_crystals_from_cif_to_lattice_energy": (3, "| mo3enet | 281 |"),
}


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == list(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


# What Jupyter's own machinery warns of is not ours to mend.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": tmp_path}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    warned = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    # tqdm, imported by others, asks for ipywidgets: a nicety that nothing here needs.
    assert [text for text in warned if "IProgress not found" not in text] == []
    pictures, text = SHOWN[path.stem]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= pictures
    shown = [part for output in outputs for part in (output.get("text"), *output.get("data", {}).values())]
    assert any(text in part for part in shown if isinstance(part, str))
