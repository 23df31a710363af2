"""The command line as a whole: verbs, help, messages and exit statuses."""

import os
import signal
import subprocess
import sys

import pytest

import skmol3d
from skmol3d.cli import VERBS, featurize, main

SCREEN = 40
"""Lines."""


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"skmol3d {skmol3d.__version__}\n"


HELP = """
import sys
import skmol3d.cli
try:
    skmol3d.cli.main({arguments})
finally:
    heavy = {heavy} & set(sys.modules)
    assert not heavy, heavy
"""


def test_help_lists_the_verbs_and_imports_nothing_heavy():
    code = HELP.format(arguments=["--help"], heavy={"torch", "rdkit", "sklearn", "pandas", "numpy"})
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert all(f"  {verb} " in printed for verb in VERBS)
    assert len(printed.splitlines()) <= SCREEN
    assert max(map(len, printed.splitlines())) <= 80


def test_without_a_verb_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_fits_a_screen_and_shows_an_example(verb, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= SCREEN
    assert max(map(len, lines)) <= 80
    assert lines[-2] == "example:"
    assert lines[-1].startswith(f"  skmol3d {verb} ")


@pytest.mark.slow
def test_help_of_featurize_needs_no_torch():
    code = HELP.format(arguments=["featurize", "--help"], heavy={"torch"})
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_verbs_are_run_as_a_module():
    command = [sys.executable, "-m", "skmol3d", "--version"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed == f"skmol3d {skmol3d.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmark", "--tasks", "missing-folder"], "missing-folder"),
        (["benchmark", "--only", "nothing"], "no task nothing in the shipped table"),
        (["benchmark", "--methods", "maccs"], "unknown method 'maccs'"),
        (["benchmark", "--methods", "ecfp", "--heads", "svm"], "unknown heads ['svm']"),
    ],
)
def test_mistakes_give_messages_not_tracebacks(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith(f"skmol3d {arguments[0]}: ")
    assert "Traceback" not in error


def test_unknown_verbs_and_options_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["fly"])
    assert "invalid choice: 'fly'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_signals_give_one_line(number, status, word, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(featurize, "run", lambda args: os.kill(os.getpid(), number))
    assert main(["featurize", "in.smi", "out.npy"]) == status
    assert capsys.readouterr().err == f"skmol3d featurize: {word}\n"
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.slow
def test_a_closed_pipe_is_quiet(tmp_path):
    (tmp_path / "in.smi").write_text("CCO\n" * 3000)
    command = f"{sys.executable} -m skmol3d featurize in.smi - --model ecfp --n-bits 64"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    heading, status = done.stdout.splitlines()
    assert heading.startswith("id,smiles,ecfp_0,")
    assert status == "141"
