"""Public data sets, fetched from pinned commits and handed out as scikit-learn's fetchers do."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skmol3d.datasets.download import PinnedFile, fetch_file

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
        file = PinnedFile(
            source["repository"], source["commit"], entry["path"], entry["sha256"], entry["bytes"]
        )
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


def _choose(prefix: str, suffix: str, name: str, what: str) -> str:
    """Name of the table of one endpoint, whatever its case."""
    known = {
        table.removeprefix(prefix).removesuffix(suffix): table
        for table in _manifest()["tables"]
        if table.startswith(prefix)
    }
    try:
        return known[name.lower().removesuffix(suffix)]
    except KeyError:
        raise ValueError(f"unknown {what} {name!r}, choose from {', '.join(known)}") from None


def fetch_esol(
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Aqueous solubility of 1,128 molecules, log10 mol/L (ESOL in MoleculeNet); regression, no split.

    Parameters
    ----------
    data_home : path or None, default=None
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
        ``data`` (Series of n SMILES as the source writes them), ``target`` (float64 of shape (n,), in
        ``unit``), ``split`` (array of "train" / "test", or None if the source has no split), ``frame`` (every
        column of the source), ``target_name``, ``unit``, and ``DESCR`` with source, licence and citation. All
        rows are there, also those whose SMILES do not parse.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.

    References
    ----------
    Delaney 2004, https://doi.org/10.1021/ci034243x; Wu et al. 2018, https://doi.org/10.1039/C7SC02664A
    """
    return _fetch("esol", data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_freesolv(
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Hydration free energy of 642 molecules, kcal/mol (FreeSolv in MoleculeNet); regression, no split.

    Parameters
    ----------
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.

    References
    ----------
    Mobley, Guthrie 2014, https://doi.org/10.1007/s10822-014-9747-x; Wu et al. 2018,
    https://doi.org/10.1039/C7SC02664A
    """
    return _fetch("freesolv", data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_lipophilicity(
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Octanol-water log D at pH 7.4 of 4,200 molecules (Lipophilicity in MoleculeNet); regression, no split.

    Parameters
    ----------
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.

    References
    ----------
    Wu et al. 2018, https://doi.org/10.1039/C7SC02664A
    """
    return _fetch("lipo", data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_bace(
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Inhibition of human beta-secretase 1 by 1,513 molecules (BACE in MoleculeNet); classes 0/1, no split.

    Parameters
    ----------
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.

    References
    ----------
    Subramanian et al. 2016, https://doi.org/10.1021/acs.jcim.6b00290; Wu et al. 2018,
    https://doi.org/10.1039/C7SC02664A
    """
    return _fetch("bace", data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_bbbp(
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Passage of the blood-brain barrier by 2,039 molecules (BBBP in MoleculeNet); classes 0/1, no split.

    Parameters
    ----------
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.

    References
    ----------
    Martins et al. 2012, https://doi.org/10.1021/ci300124c; Wu et al. 2018, https://doi.org/10.1039/C7SC02664A
    """
    return _fetch("bbbp", data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_biogen_adme(
    endpoint: str,
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """One endpoint of Biogen's in-vitro ADME sets, log10 values; regression, with the source's split.

    Parameters
    ----------
    endpoint : {"hlm", "rlm", "mdr1_er", "sol", "hppb", "rppb"}
        Human and rat liver microsomal clearance, MDR1-MDCK efflux ratio, solubility, human and rat plasma
        protein binding.
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.
    ValueError
        If the endpoint is unknown.

    References
    ----------
    Fang et al. 2023, https://doi.org/10.1021/acs.jcim.3c00160
    """
    name = _choose("biogen_", "", endpoint, "endpoint")
    return _fetch(name, data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_pharmabench(
    endpoint: str,
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """One endpoint of PharmaBench, with its scaffold split (its random split is a column of ``frame``).

    Parameters
    ----------
    endpoint : {"logd", "water_sol", "ppb", "hum_mic_cl", "cyp_3a4", "ames", "bbb"}
        "ames" and "bbb" are classes 0/1, the others regression.
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.
    ValueError
        If the endpoint is unknown.

    References
    ----------
    Niu et al. 2024, https://doi.org/10.1038/s41597-024-03793-0
    """
    name = _choose("pharma_", "", endpoint, "endpoint")
    return _fetch(name, data_home, download_if_missing, base_url, return_X_y, as_frame)


def fetch_moleculeace(
    target: str,
    *,
    data_home: PathLike | None = None,
    download_if_missing: bool = True,
    base_url: str | None = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Binding to one receptor (pKi) with its activity cliffs (column ``cliff_mol``); the source's split.

    Parameters
    ----------
    target : {"CHEMBL1862", "CHEMBL2034", "CHEMBL2147", "CHEMBL219", "CHEMBL231", "CHEMBL238"}
        ABL1 kinase, glucocorticoid receptor, PIM1 kinase, dopamine D4 receptor, histamine H1 receptor,
        dopamine transporter; a trailing "_Ki" may be written.
    data_home, download_if_missing, base_url, return_X_y, as_frame
        As in `fetch_esol`.

    Returns
    -------
    Bunch or (data, target)
        As in `fetch_esol`.

    Raises
    ------
    OSError
        If the data cannot be had, or their SHA-256 is not the expected one.
    ValueError
        If the target is unknown.

    References
    ----------
    van Tilborg, Alenicheva, Grisoni 2022, https://doi.org/10.1021/acs.jcim.2c01073
    """
    name = _choose("ace_", "_ki", target, "target")
    return _fetch(name, data_home, download_if_missing, base_url, return_X_y, as_frame)
