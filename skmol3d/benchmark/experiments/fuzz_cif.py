"""Damaged CIF files, and what must hold for them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from skmol3d.benchmark.experiments.fuzz_files import damaged, judge
from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.reading import iter_crystals, read_periodic

UREA = """\
data_urea
_cell_length_a 5.565(1)
_cell_length_b 5.565(1)
_cell_length_c 4.684
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P -4 21 m'
_space_group_IT_number 113
_chemical_formula_sum 'C H4 N2 O'
loop_
_space_group_symop_operation_xyz
x,y,z
-x,-y,z
y,-x,-z
-y,x,-z
1/2-x,1/2+y,-z
1/2+x,1/2-y,-z
1/2-y,1/2-x,z
1/2+y,1/2+x,z
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
C1 C 0 0.5 0.326 1
O1 O 0 0.5 0.5953 1
N1 N 0.1459 0.6459 0.1766 1
H1 H 0.2575 0.7575 0.2827 1
H2 H 0.1441 0.6441 -0.0380 1
"""
CYANIDE = """\
data_HCN
_publ_section_comment
;
Hydrogen cyanide, 'made up'; data_none
;
_cell_length_a 4.13
_cell_length_b 4.85
_cell_length_c 4.34
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'I m m 2'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
H1 0 0 0.757
C1 0 0 0.0
N1 0 0 0.264
#END
"""
PIECES = (
    *(
        b"x+1/0, y, z",
        b"1/2+q",
        b"'P 21/c'",
        b"_cell_length_a 1e300\n",
        b"_cell_angle_beta 0\n",
        b"nan",
        b"?",
    ),
    *(b"data_\n", b"loop_\n", b";\n", b"'", b"_space_group_IT_number 231\n", b"H99", b"(", b"-1e9", b"\xff"),
    *(b"_atom_site_fract_x\n", b"global_\n", b"save_x\n", b"stop_\n", b"$x", b"0.5", b" . ", b"\n", b"Uuo"),
)


def damaged_cifs(count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `count` contents, the same ones again for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = damaged("".join((UREA, CYANIDE)[k] for k in rng.integers(2, size=2)).encode(), rng)
        for _ in range(rng.integers(3)):
            at = int(rng.integers(len(data) + 1))
            data = data[:at] + PIECES[rng.integers(len(PIECES))] + data[at + int(rng.integers(6)) :]
        yield data


def outcome(path: Path, data: bytes) -> list[str]:
    """What became of the file: "crystal" or the reason, block by block.

    Raises
    ------
    Exception
        Whatever is no `CrystalError`.
    """
    path.write_bytes(data)
    found = []
    for value in iter_crystals(path):
        try:
            read_periodic(value)
            found.append("crystal")
        except CrystalError as error:
            found.append(str(error))
    return found


def run(count: int, seed: int) -> list[str]:
    """Read `count` damaged CIF files, print counts by outcome, and return what was wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.cif"
        cases = (("cif", lambda d=data: outcome(path, d)) for data in damaged_cifs(count, seed))
        return judge("damaged CIF files", cases)
