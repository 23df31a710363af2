"""Molecules or crystals in a file to rows of numbers, one per record, in order."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skmol3d
from skmol3d.cli import library

if TYPE_CHECKING:
    from skmol3d.cli.records import Source
    from skmol3d.featurizers import StructureFeaturizer
    from skmol3d.files import Labels, Rows
    from skmol3d.structures import Record

EXAMPLE = "skmol3d featurize molecules.csv rows.parquet --keep activity --n-jobs -1"
USAGE = "skmol3d featurize INPUT OUTPUT [options]"
NOTES = """\
A run that was stopped continues when the same command is given again.
Exit status: 0 if OUTPUT is complete, with rows of NaN for records that failed;
1 if all failed, or any with --errors raise; 2 for mistakes.
More: --model NAME --help, --crystals --help, --dask local --help.

"""

CHUNK = 1024
"""Records between two marks from which a stopped run continues."""

LIBRARY_ALONE = ("dtype", "partition_size")
LIBRARY = ("dask", *LIBRARY_ALONE, "smiles_column", "id_column", "restart", "model")
"""Options that have a meaning for libraries, and those that have none elsewhere."""

SAID = {
    "input": "file, folder or 'pattern' of Parquet, CSV, SMILES or SD files",
    "output": "folder, that workers see, too; gets Parquet with the columns of INPUT, and _failures.csv",
    "keep": f"{library.KEEP} (default: all)",
}
"""What is another thing where there are libraries."""

COMMON = ("n_jobs", "device", "cache_dir")
"""Parameters of featurizers that the help shows beside records and files."""


class Help(argparse.Action):
    """Show records and files, or all parameters of the featurizer that was named before it: a screen each."""

    def __init__(self, parameters: dict[str, argparse.Action], **settings: Any) -> None:
        super().__init__(nargs=0, default=argparse.SUPPRESS, help="show this help and exit", **settings)
        self._parameters = parameters

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        """Print and exit."""
        from skmol3d.cli import options

        if namespace.dask:
            hidden = [action for action in parser._actions if action.dest not in (*LIBRARY, *SAID)]
            for action in parser._actions:
                action.help = SAID.get(action.dest, action.help)
        elif namespace.model is None and not namespace.crystals:
            # Finding the class by its checkpoint would import torch.
            options.explain_parameters(self._parameters, [skmol3d.REM3DIFeaturizer])
            hidden = [action for name, action in self._parameters.items() if name not in COMMON]
            hidden += [action for action in parser._actions if action.dest in LIBRARY_ALONE]
        else:
            revision = vars(namespace).get(f"{options.PREFIX}revision")
            classes = options.featurizer_classes(namespace.model, revision, namespace.crystals)
            options.explain_parameters(self._parameters, classes)
            hidden = [action for action in parser._actions if action not in self._parameters.values()]
        for action in hidden:
            action.help = argparse.SUPPRESS
        parser.print_help()
        parser.exit()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    from skmol3d.cli.options import DEFAULT, add_parameters
    from skmol3d.featurizers.crystal import EMBEDDINGS
    from skmol3d.files import OUTPUTS
    from skmol3d.structures.reading import FORMATS

    formats = ", ".join(f".{name}" for name in FORMATS)
    parser.add_argument("input", metavar="INPUT", help=f"{formats}, .cif (crystals), also .gz; - is stdin")
    parser.add_argument(
        "output", metavar="OUTPUT", help=f"{', '.join(OUTPUTS)}; - is stdout (CSV). Tables begin with the ids"
    )
    group = parser.add_argument_group("records and files")
    add = group.add_argument
    add(
        "--format",
        choices=[*FORMATS, "cif"],
        metavar="F",
        help="of INPUT, if its name is silent (stdin: smi)",
    )
    add(
        "--crystals",
        action="store_true",
        help="records are crystals (.cif: always)",
    )
    library.add_columns(group)
    add("--errors", choices=["nan", "raise"], default="nan", help="failed records: rows of NaN, or no OUTPUT")
    add("--failures", metavar="FILE", type=Path, help="CSV table of all failed records and the reasons")
    add("--restart", action="store_true", help="discard what a stopped run left beside OUTPUT")
    library.add_cluster(group, None)
    add("--dtype", choices=["float32", "float16"], help="of numbers that are not whole (default: float32)")
    library.add_partitions(group)
    group = parser.add_argument_group("featurizer")
    group.add_argument(
        "--model",
        metavar="NAME",
        help=f"bundled checkpoint, folder, Hub id, or ecfp (default: {DEFAULT}); "
        f"crystals: also none, volume, inertia (default: {EMBEDDINGS['mo3enet']})",
    )
    parameters = add_parameters(group)
    add("-h", "--help", action=Help, parameters=parameters)


def run(args: argparse.Namespace) -> int:
    """Write the rows and say what became of them; give the exit status."""
    from skmol3d.cli.options import given_parameters, make_featurizer
    from skmol3d.cli.records import find_source, open_records
    from skmol3d.files import check_output, check_writable

    if args.dask:
        return library.featurize(args)
    for name in LIBRARY_ALONE:
        if getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')}: only with --dask")
    start = time.perf_counter()
    output = None if args.output == "-" else Path(args.output)
    if output:
        check_output(output)
    taken = {Path(args.input).resolve()}
    for path in filter(None, (output, _sidecar(args, output), args.failures)):
        if path.resolve() in taken:
            raise ValueError(f"{path}: the same file as the input or another output")
        check_writable(path)
        taken.add(path.resolve())
    source = find_source(args)
    records = open_records(source, args)
    featurizer = make_featurizer(args.model, source.crystals, given_parameters(args))
    if twice := sorted(set(args.keep).intersection(featurizer.get_feature_names_out())):
        raise ValueError(f"--keep {twice[0]}: the rows have a column of that name")
    if output is None:
        outcome = _to_stdout(args, source, records, featurizer)
    else:
        outcome = _to_file(args, source, records, featurizer, output)
    if not outcome.done:
        raise ValueError(f"{args.input}: there is no {featurizer.item} in it")
    if args.failures:
        with args.failures.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerows([("index", "id", "input", "reason"), *outcome.failures])
    _report(args, outcome, featurizer.item, time.perf_counter() - start)
    return 0 if outcome.complete else 1


def _chunks(
    records: Iterator[Record], featurizer: StructureFeaturizer, source: Source, keep: list[str], done: int = 0
) -> Iterator[tuple[Rows, Labels, list[Any]]]:
    """Rows, labels, and index, id, input and reason of failures, of `CHUNK` records at a time."""
    from tqdm import tqdm

    from skmol3d.cli.records import label

    chunk = list(islice(records, CHUNK))
    known = {name: None for record in chunk for name in record.columns}
    if not done and chunk and (missing := [name for name in keep if name not in known]):
        first = f"in the first {len(chunk)} records" if len(chunk) == CHUNK else "there"
        raise ValueError(f"--keep {missing[0]}: no such column; {first} are: {', '.join(known) or 'none'}")
    with tqdm(initial=done, unit=f" {featurizer.item}s", disable=not sys.stderr.isatty()) as bar:
        while chunk:
            rows = featurizer.transform([record.structure for record in chunk])
            failures = [
                (chunk[i].index, chunk[i].name, text, reason)
                for i, text, reason in featurizer.failures_.itertuples(index=False)
            ]
            yield rows, [label(record, source, keep) for record in chunk], failures
            bar.update(len(chunk))
            chunk = list(islice(records, CHUNK))


@dataclass(frozen=True)
class Outcome:
    """What became of the records: how many there were, which failed, and whether OUTPUT is as asked for."""

    done: int
    failures: list[Any]
    complete: bool


def _to_stdout(
    args: argparse.Namespace, source: Source, records: Iterator[Record], featurizer: StructureFeaturizer
) -> Outcome:
    from skmol3d.cli.records import label_columns
    from skmol3d.files import CsvTable

    table = CsvTable(sys.stdout, [*label_columns(source, args.keep), *featurizer.get_feature_names_out()])
    done = 0
    failures: list[Any] = []
    for rows, labels, failed in _chunks(records, featurizer, source, args.keep):
        table.append(rows, labels)
        done, failures = done + len(rows), failures + failed
    sys.stdout.flush()
    return Outcome(done, failures, _complete(args, done, failures))


def _to_file(
    args: argparse.Namespace,
    source: Source,
    records: Iterator[Record],
    featurizer: StructureFeaturizer,
    output: Path,
) -> Outcome:
    from skmol3d.cli.records import label_columns
    from skmol3d.files import CsvTable, Unfinished

    columns, names = label_columns(source, args.keep), list(featurizer.get_feature_names_out())
    sidecar = _sidecar(args, output)
    again = args.restart or source.path is None  # what comes from stdin may be something else today
    with Unfinished(output, _task(args, source, featurizer), len(names), again) as work:
        try:
            todo = islice(records, work.done, None)
            for rows, labels, failed in _chunks(todo, featurizer, source, args.keep, work.done):
                work.append(rows, labels, failed)
        except KeyboardInterrupt as stop:
            if not work.done or source.path is None:
                raise
            kept = f"{work.done} {featurizer.item}s are done; the same command goes on from there"
            raise type(stop)(kept) from stop
        outcome = Outcome(work.done, work.failures(), _complete(args, work.done, work.failures()))
        if not outcome.complete:
            work.discard()
            return outcome
        if sidecar:
            with sidecar.open("w", newline="", encoding="utf-8") as file:
                table = CsvTable(file, columns)
                for rows, labels in work.chunks():
                    table.append(rows[:, :0], labels)
        work.publish(columns, names)
    return outcome


def _complete(args: argparse.Namespace, done: int, failures: list[Any]) -> bool:
    return len(failures) < done and not (failures and args.errors == "raise")


def _sidecar(args: argparse.Namespace, output: Path | None) -> Path | None:
    """Where the labels of a matrix go, if they were asked for."""
    wanted = output and output.suffix.lower() == ".npy" and (args.keep or args.id_column)
    return output.with_suffix(".ids.csv") if output and wanted else None


def _task(args: argparse.Namespace, source: Source, featurizer: StructureFeaturizer) -> dict[str, Any]:
    """All that decides what is in OUTPUT."""
    from skmol3d.featurizers.identity import identity
    from skmol3d.files import file_hash

    return {
        "input": source.path and file_hash(source.path),
        "format": source.format,
        **{name: getattr(args, name) for name in ("smiles_column", "id_column", "keep")},
        **identity(featurizer),
    }


def _report(args: argparse.Namespace, outcome: Outcome, item: str, seconds: float) -> None:
    count = len(outcome.failures)
    where = "stdout" if args.output == "-" else args.output if outcome.complete else "nothing written"
    lines = [f"{outcome.done - count} of {outcome.done} {item}s in {seconds:.1f} s: {where}"]
    if count:
        lines.append(f"{count} failed{' (rows of NaN)' if outcome.complete else ''}:")
        lines += [library.failure_line(*failure) for failure in outcome.failures[: library.SHOWN]]
    if count > library.SHOWN:
        lines.append(
            f"  ... and {count - library.SHOWN} more ({args.failures or '--failures FILE lists all'})"
        )
    print("\n".join(lines), file=sys.stderr)
