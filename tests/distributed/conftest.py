"""A cluster within this process, and libraries of a few molecules."""

import pandas as pd
import pytest

BROKEN = (5, 23)


@pytest.fixture(scope="session")
def client():
    from dask.distributed import Client

    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs="ERROR"
    ) as client:
        yield client


@pytest.fixture
def table():
    """30 molecules with ids, a whole number that may be missing, and two that are none."""
    smiles = ["C" * (i % 11 + 1) + ("O" if i % 3 else "N") for i in range(30)]
    for i in BROKEN:
        smiles[i] = "C("
    counts = pd.array([None if i == 7 else i for i in range(30)], dtype="Int64")
    return pd.DataFrame({"id": [f"m{i}" for i in range(30)], "smiles": smiles, "plate": counts, "pki": 6.5})


@pytest.fixture
def folder(tmp_path, table, monkeypatch):
    """A library of three files of 12, 12 and 6 molecules; the test runs beside it."""
    monkeypatch.chdir(tmp_path)
    library = tmp_path / "library"
    library.mkdir()
    for i in range(3):
        table[12 * i : 12 * i + 12].to_parquet(library / f"part.{i}.parquet", index=False)
    return tmp_path
