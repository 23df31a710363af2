"""Batches under a budget, and the settings of the whole process with their switches."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from skmol3d import inference


def test_large_molecules_count_more():
    def item(n):
        return inference.Item(np.full(n, 6, np.uint8), np.zeros((n, 3)), 0, None)

    assert [inference._cost(item(n)) for n in (1, 127, 128, 191, 192)] == [1, 127, 256, 382, 576]


@pytest.mark.slow
def test_freed_memory_is_used_again():
    # glibc as it starts hands these 40 MB back and faults them in again, all 10,000 pages in every round.
    code = (
        "import resource, torch\n"
        "from skmol3d import inference\n"
        "inference.prime_malloc()\n"
        "def use():\n"
        "    return [torch.ones(2**19) for _ in range(20)]\n"
        "use()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(10):\n"
        "    use()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 10_000


WATER = np.array([8, 1, 1], np.uint8), np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
TWO_WATERS = [inference.Item(*WATER, 0, None)] * 2


class Threads(torch.nn.Module):
    """Its rows are the number of threads it was run on."""

    def output_blocks(self):
        return {"threads": 1}

    def forward(self, batch):
        return torch.full((len(batch), 1), float(torch.get_num_threads()))


@pytest.mark.parametrize(("setting", "expected"), [(None, 1), ("1", 1), ("0", 3)])
def test_threads_are_left_alone_on_request(monkeypatch, setting, expected):
    if setting is not None:
        monkeypatch.setenv("SKMOL3D_ONE_THREAD", setting)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        rows, reasons, _ = inference.encode(Threads(), TWO_WATERS, torch.device("cpu"), 128)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert rows.tolist() == [[expected]] * 2
    assert not reasons


def test_the_allocator_is_left_alone_on_request(monkeypatch):
    primed = []
    monkeypatch.setattr(inference, "_prime_malloc", lambda: primed.append(True))
    monkeypatch.setenv("SKMOL3D_PRIME_MALLOC", "0")
    inference.prime_malloc()
    assert not primed
    monkeypatch.delenv("SKMOL3D_PRIME_MALLOC")
    inference.prime_malloc()
    assert primed


def test_backbones_with_large_messages_ask_for_smaller_batches_on_a_cpu():
    encoder = SimpleNamespace(backbone=SimpleNamespace(cpu_atoms=64))
    assert inference.atoms_at_once(encoder, torch.device("cpu")) == 64
    assert inference.atoms_at_once(encoder, torch.device("cuda")) == inference.BATCH_ATOMS["cuda"]
    assert inference.atoms_at_once(object(), torch.device("cpu")) == inference.BATCH_ATOMS["cpu"]
