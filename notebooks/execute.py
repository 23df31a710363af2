"""Execute notebooks and keep their outputs: ``python notebooks/execute.py [NAME ...]``, by default all.

They share a folder for the data that are fetched and the rows that are computed (``--folder``). Assays are
fetched from their public addresses, or from the mirror that SKMOL3D_DATA_MIRROR names.
"""

import argparse
import base64
import os
from io import BytesIO
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
COLOURS = 128
"""In a committed picture: a third of the bytes, and no difference to the eye."""


def execute(path: Path, folder: Path, quick: bool = False) -> nbformat.NotebookNode:
    """Run a notebook from top to bottom.

    Parameters
    ----------
    path : Path
        The notebook; it is not written to.
    folder : Path
        Where it runs and leaves its files.
    quick : bool, default=False
        With the shipped data alone, and less of everything: what SKMOL3D_NOTEBOOKS=quick says to it.

    Returns
    -------
    NotebookNode
        With outputs, and nothing in it that differs from run to run by itself.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=900, record_timing=False, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=os.environ | {"SKMOL3D_NOTEBOOKS": "quick" if quick else ""})
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Outputs of all cells."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def _shrink(notebook: nbformat.NotebookNode) -> None:
    for output in outputs(notebook):
        picture = output.get("data", {}).get("image/png")
        if picture:
            stream = BytesIO()
            image = Image.open(BytesIO(base64.b64decode(picture))).convert("RGB")
            image.quantize(COLOURS, dither=Image.Dither.NONE).save(stream, "png", optimize=True)
            output.data["image/png"] = base64.b64encode(stream.getvalue()).decode()


def main() -> None:
    """Execute and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="as 02, or 02_map_of_chemical_space")
    parser.add_argument("--folder", type=Path, default=HERE / "work", help="default: notebooks/work")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.ipynb")):
        if not args.names or any(path.stem.startswith(name) for name in args.names):
            notebook = execute(path, args.folder)
            _shrink(notebook)
            nbformat.write(notebook, path)
            print(f"{path.name}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
