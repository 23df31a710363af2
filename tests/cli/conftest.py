"""A cluster of this process for the commands on libraries."""

import pytest

from skmol3d.cli import library


@pytest.fixture
def in_process(monkeypatch):
    """Whatever --dask says, the work is done here."""
    from dask.distributed import Client

    settings = library.settings
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs="ERROR"
    ) as client:
        monkeypatch.setattr(library, "settings", lambda args: settings(args) | {"scheduler": client})
        yield
