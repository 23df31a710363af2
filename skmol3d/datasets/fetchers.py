"""Public data sets, fetched from pinned commits and handed out as scikit-learn's fetchers do.

A data set is an entry of manifest.json (source, columns, files with their SHA-256) and one registration at
the end of this file; a further endpoint of a set that has several is the entry alone.
"""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skmol3d.datasets.download import PinnedFile, fetch_file, get_data_home

PathLike = str | os.PathLike[str]


@cache
def _manifest() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("manifest.json").read_text(encoding="utf-8"))


def _fetch(
    name: str,
    data_home: PathLike | None,
    download_if_missing: bool,
    base_url: str | None,
    return_X_y: bool,
    as_frame: bool,
) -> Any:
    table = _manifest()["tables"][name]
    source = _manifest()["sources"][table["source"]]
    parts = []
    for entry in table["files"]:
        file = _pinned(source, entry)
        part = pd.read_csv(fetch_file(file, data_home, base_url, download_if_missing))
        if table["split"] == "file":  # the source splits by file: NAME_train.csv and NAME_test.csv
            part["split"] = Path(entry["path"]).stem.rpartition("_")[2]
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    data = frame[table["smiles"]].rename("smiles")
    target = frame[table["target"]].astype(np.float64)
    if return_X_y:
        return data, target if as_frame else target.to_numpy()
    split = {None: None, "file": "split"}.get(table["split"], table["split"])
    return Bunch(
        data=data,
        target=target if as_frame else target.to_numpy(),
        split=None if split is None else frame[split].to_numpy(dtype=object),
        frame=frame,
        target_name=table["target"],
        unit=table["unit"],
        DESCR=_describe(name, table, source, len(frame)),
    )


def _pinned(source: dict[str, Any], entry: dict[str, Any]) -> PinnedFile:
    return PinnedFile(source["repository"], source["commit"], entry["path"], entry["sha256"], entry["bytes"])


def fetched_files(data_home: PathLike | None = None) -> list[Path]:
    """Files of the data sets that the cache folder holds, and no other files there."""
    known = (
        _pinned(_manifest()["sources"][table["source"]], entry).location
        for table in _manifest()["tables"].values()
        for entry in table["files"]
    )
    home = get_data_home(data_home)
    return sorted(path for path in {home / location for location in known} if path.is_file())


def _describe(name: str, table: dict[str, Any], source: dict[str, Any], n_rows: int) -> str:
    split = {
        None: "none in the source",
        "file": "the source's train and test files",
    }.get(table["split"], f"column {table['split']!r} of the source")
    paths = ", ".join(entry["path"] for entry in table["files"])
    return f"""{name}: {table["title"]}
{n_rows} rows, as the source gives them: SMILES are neither canonicalised nor stripped of salts, repeated
molecules stay, and so do rows whose SMILES do not parse (skmol3d.drop_failures drops those from X and y).

target: column {table["target"]!r}, {table["unit"]}
split: {split}
source: {source["title"]}, https://github.com/{source["repository"]} at commit {source["commit"]} ({paths})
licence: {source["licence"]}, as stated by the source
citation: {source["citation"]}, https://doi.org/{source["doi"]}
"""


_DOC = """{summary}

Parameters
----------
{endpoint}data_home : path or None, default=None
    Cache folder; None for the environment variable ``SKMOL3D_DATA``, else ``~/.cache/skmol3d``.
download_if_missing : bool, default=True
    If False, raise OSError where the data are not in the cache.
base_url : str or None, default=None
    Address (http, https or file) of a mirror; None for the environment variable ``SKMOL3D_DATA_MIRROR``,
    else https://raw.githubusercontent.com.
return_X_y : bool, default=False
    If True, return ``(data, target)``.
as_frame : bool, default=False
    If True, the target is a pandas Series.

Returns
-------
Bunch or (data, target)
    ``data`` (Series of n SMILES as the source writes them), ``target`` (float64 of shape (n,), in ``unit``),
    ``split`` (array of "train" / "test", or None if the source has no split), ``frame`` (every column of the
    source), ``target_name``, ``unit``, and ``DESCR`` with source, licence and citation. All rows are there,
    also those whose SMILES do not parse.

Raises
------
OSError
    If the data cannot be had, or their SHA-256 is not the expected one.
{error}
References
----------
{references}
"""


def _fetcher(name: str, table: str, summary: str, references: str) -> Callable[..., Any]:
    """Fetcher ``fetch_NAME`` of a set with one table."""

    def fetch(
        *,
        data_home: PathLike | None = None,
        download_if_missing: bool = True,
        base_url: str | None = None,
        return_X_y: bool = False,
        as_frame: bool = False,
    ) -> Any:
        return _fetch(table, data_home, download_if_missing, base_url, return_X_y, as_frame)

    fetch.__doc__ = _DOC.format(summary=summary, endpoint="", error="", references=references)
    return _named(fetch, name)


def _fetcher_of_endpoints(name: str, prefix: str, summary: str, references: str) -> Callable[..., Any]:
    """Fetcher ``fetch_NAME`` of a set with one table for each endpoint, named with the prefix."""

    def fetch(
        endpoint: str,
        *,
        data_home: PathLike | None = None,
        download_if_missing: bool = True,
        base_url: str | None = None,
        return_X_y: bool = False,
        as_frame: bool = False,
    ) -> Any:
        known = _endpoints(prefix)
        table = known.get(_endpoint(endpoint)) if isinstance(endpoint, str) else None
        if table is None:
            raise ValueError(f"unknown endpoint {endpoint!r}, choose from {', '.join(known)}")
        return _fetch(table, data_home, download_if_missing, base_url, return_X_y, as_frame)

    tables = _manifest()["tables"]
    choices = "\n".join(
        f"    - {name}: {tables[table]['title']}" for name, table in _endpoints(prefix).items()
    )
    fetch.__doc__ = _DOC.format(
        summary=summary,
        endpoint=f"endpoint : str\n    One of these, in any case of letters:\n\n{choices}\n",
        error="ValueError\n    If the endpoint is unknown.\n",
        references=references,
    )
    return _named(fetch, name)


def _endpoints(prefix: str) -> dict[str, str]:
    tables = (table for table in _manifest()["tables"] if table.startswith(prefix))
    return {_endpoint(table.removeprefix(prefix)): table for table in tables}


def _endpoint(name: str) -> str:
    return name.lower().removesuffix("_ki")  # MoleculeACE's files are named so


def _named(fetch: Callable[..., Any], name: str) -> Callable[..., Any]:
    fetch.__name__ = fetch.__qualname__ = f"fetch_{name}"
    return fetch


_MOLECULENET = "Wu et al. 2018, https://doi.org/10.1039/C7SC02664A"

fetch_esol = _fetcher(
    "esol",
    "esol",
    "Aqueous solubility of 1,128 molecules, log10 mol/L (ESOL in MoleculeNet); regression, no split.",
    f"Delaney 2004, https://doi.org/10.1021/ci034243x; {_MOLECULENET}",
)
fetch_freesolv = _fetcher(
    "freesolv",
    "freesolv",
    "Hydration free energy of 642 molecules, kcal/mol (FreeSolv in MoleculeNet); regression, no split.",
    f"Mobley, Guthrie 2014, https://doi.org/10.1007/s10822-014-9747-x; {_MOLECULENET}",
)
fetch_lipophilicity = _fetcher(
    "lipophilicity",
    "lipo",
    "Octanol-water log D at pH 7.4 of 4,200 molecules (Lipophilicity in MoleculeNet); regression, no split.",
    _MOLECULENET,
)
fetch_bace = _fetcher(
    "bace",
    "bace",
    "Inhibition of human beta-secretase 1 by 1,513 molecules (BACE in MoleculeNet); classes 0/1, no split.",
    f"Subramanian et al. 2016, https://doi.org/10.1021/acs.jcim.6b00290; {_MOLECULENET}",
)
fetch_bbbp = _fetcher(
    "bbbp",
    "bbbp",
    "Passage of the blood-brain barrier by 2,039 molecules (BBBP in MoleculeNet); classes 0/1, no split.",
    f"Martins et al. 2012, https://doi.org/10.1021/ci300124c; {_MOLECULENET}",
)
fetch_biogen_adme = _fetcher_of_endpoints(
    "biogen_adme",
    "biogen_",
    "One endpoint of Biogen's in-vitro ADME sets, log10 values; regression, with the source's split.",
    "Fang et al. 2023, https://doi.org/10.1021/acs.jcim.3c00160",
)
fetch_pharmabench = _fetcher_of_endpoints(
    "pharmabench",
    "pharma_",
    "One endpoint of PharmaBench, with its scaffold split (its random split is a column of ``frame``).",
    "Niu et al. 2024, https://doi.org/10.1038/s41597-024-03793-0",
)
fetch_moleculeace = _fetcher_of_endpoints(
    "moleculeace",
    "ace_",
    "Binding to one receptor (pKi) with its activity cliffs (column ``cliff_mol``); the source's split.",
    "van Tilborg, Alenicheva, Grisoni 2022, https://doi.org/10.1021/acs.jcim.2c01073",
)
