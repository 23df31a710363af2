"""CIF files written from their parts."""

from __future__ import annotations

# Urea (CSD UREAXX), half a molecule in P-42_1m.
CELL = {"length_a": 5.565, "length_b": 5.565, "length_c": 4.684}
HEAVY = ["C1 C 0 0.5 0.3260", "O1 O 0 0.5 0.5953", "N1 N 0.1459 0.6459 0.1766"]
HYDROGENS = ["H1 H 0.2575 0.7575 0.2827", "H2 H 0.1441 0.6441 -0.0380"]
SYMBOL = "_symmetry_space_group_name_H-M 'P -4 21 m'"
OPERATIONS = ["x,y,z", "-x,-y,z", "y,-x,-z", "-y,x,-z", "1/2-x,1/2+y,-z", "1/2+x,1/2-y,-z"]
OPERATIONS += ["1/2-y,1/2-x,z", "1/2+y,1/2+x,z"]


def loop(operations: list[str], tag: str = "_symmetry_equiv_pos_as_xyz") -> str:
    return "\n".join(["loop_", tag, *(f"'{operation}'" for operation in operations)])


def cif(
    symmetry: str = SYMBOL, sites: list[str] | None = None, more: str = "", columns: str = "", **cell: object
) -> str:
    values = {**CELL, "angle_alpha": 90, "angle_beta": 90, "angle_gamma": 90, **cell}
    lines = ["data_urea", *(f"_cell_{name} {value}" for name, value in values.items()), symmetry, more]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [*(f"_atom_site_fract_{axis}" for axis in "xyz"), columns]
    return "\n".join([*lines, *(HEAVY + HYDROGENS if sites is None else sites), ""])
