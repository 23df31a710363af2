"""A featurizer shared by threads and processes."""

import subprocess
import sys

import pytest

from skmol3d.benchmark.experiments import (
    sharing,
)


@pytest.mark.slow
def test_a_featurizer_is_shared():
    # In a process of its own: forks of one in which torch has computed on several threads would hang.
    command = [sys.executable, "-m", sharing.__name__, "--n", "8", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # where it hung, if it did
    assert done.stdout.count("largest difference") == 3
