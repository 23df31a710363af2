"""Imports run downwards: no room knows one above it, and no two modules need each other.

Read from the source, imports inside of functions and for type checkers included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import skmol3d

PACKAGE = Path(skmol3d.__file__).parent
LONGEST = 350  # lines
STOREYS = (
    {"files"},
    {"structures"},
    {"encoders"},
    {"crystals"},
    {"hub"},
    {"inference"},
    {"featurizers"},
    {"calculator", "dynamics", "estimators"},
    {"distributed"},
    {"datasets"},
    {"trainer"},
    {"benchmark"},
    {"cli"},
    {"__main__"},
)
"""From the ground up; rooms of one storey do not know each other."""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def names_of(package: str) -> dict[str, str]:
    """Where the lazily imported names of a package come from, as its stub says."""
    stub = SOURCES[package].with_suffix(".pyi")
    if not stub.is_file():
        return {}
    found = (node for node in ast.walk(ast.parse(stub.read_text())) if isinstance(node, ast.ImportFrom))
    return {alias.name: f"{package}.{node.module}" for node in found for alias in node.names}


LAZY = {name: names_of(name) for name, path in SOURCES.items() if path.name == "__init__.py"}


def resolve(name: str) -> str | None:
    """The module of the package that has the dotted ``name``: itself, or what defines it; None outside."""
    if not name.startswith("skmol3d."):
        return None
    if name in SOURCES:
        return name
    package, attribute = name.rsplit(".", 1)
    source = LAZY.get(package, {}).get(attribute)
    if source is not None:
        return resolve(f"{source}.{attribute}") if LAZY.get(source) else source
    return package if package in SOURCES else None


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Modules of the package that ``module`` imports, and the lines where."""
    for node in ast.walk(ast.parse(SOURCES[module].read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            found = resolve(name)
            if found not in (None, module, "skmol3d"):
                yield str(found), node.lineno


GRAPH = {module: list(imports(module)) for module in SOURCES}


def storey(module: str) -> int:
    room = module.split(".")[1]
    return next(level for level, rooms in enumerate(STOREYS) if room in rooms)


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_every_module_has_a_room():
    rooms = {room_of(module) for module in SOURCES if module != "skmol3d"}
    assert rooms - {"checkpoints"} == set().union(*STOREYS)


@pytest.mark.parametrize("module", [m for m in SOURCES if m != "skmol3d"])
def test_imports_run_downwards(module):
    wrong = [
        f"{module}:{line} imports {other}"
        for other, line in GRAPH[module]
        if room_of(other) != room_of(module) and storey(other) >= storey(module)
    ]
    assert not wrong


def test_no_circle_of_modules():
    try:
        TopologicalSorter({m: {other for other, _ in found} for m, found in GRAPH.items()}).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


UNTESTED = {
    "__main__",  # test_cli runs it
    "crystals.errors",  # a class and its name
    # Their tests stand in those of what is put together of them.
    "distributed.partition",
    "distributed.run",
    "encoders.mo3enet.autoencoder",
    "encoders.mo3enet.axes",
    "encoders.mo3enet.decoder",
    "encoders.mo3enet.layers",
    "encoders.mo3enet.match",
    "encoders.rem3di.config",
    "trainer.data.chemistry",
    "trainer.data.fragments",
    "trainer.objectives.chemistry",
}
"""Modules without a file of tests of their own name, and why."""


def test_modules_have_tests_of_their_name():
    tests = Path(__file__).parent
    modules = [m.removeprefix("skmol3d.") for m, path in SOURCES.items() if path.name != "__init__.py"]
    files = {m: tests.joinpath(*m.split(".")).with_name(f"test_{m.split('.')[-1]}.py") for m in modules}
    assert {m for m, path in files.items() if not path.is_file()} == UNTESTED


def test_no_file_is_too_long():
    files = [*SOURCES.values(), *Path(__file__).parent.rglob("*.py")]
    assert {path.name: lines for path in files if (lines := path.read_text().count("\n")) > LONGEST} == {}


@pytest.mark.parametrize(
    ("room", "banned"),
    [
        ("structures", {"torch"}),
        ("encoders", {"rdkit", "sklearn", "pathlib", "json", "safetensors"}),
    ],
)
def test_what_a_room_must_not_know(room, banned):
    for module, path in SOURCES.items():
        if not module.startswith(f"skmol3d.{room}"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            found = {name.split(".")[0] for name in names} & banned
            assert not found, f"{module}:{node.lineno}"


@pytest.mark.parametrize("package", [name for name, names in LAZY.items() if names])
def test_stubs_keep_their_promises(package):
    loaded = __import__(package, fromlist=["_"])
    for name in loaded.__all__:
        assert getattr(loaded, name) is not None
    assert set(dir(loaded)) >= set(loaded.__all__)
    with pytest.raises(AttributeError):
        loaded.no_such_name  # noqa: B018
