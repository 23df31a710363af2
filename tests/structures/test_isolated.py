"""Calls in another process: results, reasons, crashes and time limits come back."""

import os
import time

import pytest

from skmol3d.structures import StructureError, isolated, read_molecule
from skmol3d.structures.errors import TransientError
from skmol3d.structures.isolated import call_isolated


@pytest.mark.slow
def test_results_and_reasons_are_those_of_a_call_here():
    assert call_isolated(read_molecule, "OCC", "parent", limit=60).key == read_molecule("OCC", "parent").key
    with pytest.raises(StructureError) as here:
        read_molecule("broken(")
    with pytest.raises(StructureError) as there:
        call_isolated(read_molecule, "broken(", limit=60)
    assert (type(there.value), str(there.value)) == (type(here.value), str(here.value))


@pytest.mark.slow
def test_a_crash_is_a_failure_that_may_pass():
    with pytest.raises(TransientError, match="RDKit crashed on it: exit status 3"):
        call_isolated(os._exit, 3, limit=60)
    with pytest.raises(TransientError, match=r"RDKit crashed on it: ZeroDivisionError"):
        call_isolated(divmod, 1, 0, limit=60)


def test_a_call_that_takes_too_long_is_killed(monkeypatch):
    monkeypatch.setattr(isolated, "STARTUP", 0.0)
    with pytest.raises(TimeoutError, match=r"killed after 0\.5 s"):
        call_isolated(time.sleep, 10_000, limit=0.5)
