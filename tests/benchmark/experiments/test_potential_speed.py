"""The table of speeds: every method, alone and with replicas, and the ratio."""

from skmol3d.benchmark.experiments import potential_speed


def test_ratios_are_to_the_reference(capsys):
    potential_speed.main(["O", "--model", "ec-xtb-small", "--turns", "2", "--replicas", "3"])
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line[1:-1]] for line in lines[1:]]
    assert [row[:3] for row in table] == [
        ["GFN2-xTB", "", "1"],
        *(["ec-xtb-small", dtype, n] for dtype in ("float32", "float64") for n in ("1", "3")),
    ]
    assert table[0][-1] == "1.00"
    assert all(float(row[-1]) > 0 for row in table)
