"""A library gets the rows that a featurizer gives, with ids, columns and failures."""

import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from skmol3d import CrystalFeaturizer, ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.distributed import featurize_library, partition
from skmol3d.distributed.cluster import connected

FEATURIZER = ECFPFeaturizer(n_bits=32)


def featurize(client, library, output="out", featurizer=FEATURIZER, **settings):
    return featurize_library(
        library, output, featurizer, scheduler=client, **{"partition_size": 5, **settings}
    )


def expected(smiles, featurizer=FEATURIZER):
    return featurizer.set_params(errors="nan").transform(list(smiles))


def test_rows_stand_beside_ids_and_columns_in_the_order_of_the_library(client, folder, table):
    done = featurize(client, "library")
    assert (done.molecules, done.failed) == (30, 2)
    found = pd.read_parquet("out")
    assert len(list((folder / "out").glob("part-*.parquet"))) == 3 + 3 + 2
    for name in ("id", "smiles", "pki"):
        assert found[name].tolist() == table[name].tolist()
    assert pq.read_schema(folder / "out" / "part-0000000.parquet").field("plate").type == "int64"
    assert found["plate"].fillna(-1).tolist() == table["plate"].fillna(-1).tolist()
    np.testing.assert_array_equal(found.iloc[:, 4:].to_numpy(float), expected(table.smiles))


def test_failures_are_a_table_and_their_rows_are_empty(client, folder, table):
    done = featurize(client, "library")
    failures = pd.read_csv(done.failures)
    assert failures["index"].tolist() == [5, 23]
    assert failures["id"].tolist() == ["m5", "m23"]
    assert failures["input"].tolist() == ["'C('", "'C('"]
    assert failures["reason"].str.contains("not a valid SMILES").all()
    assert pd.read_parquet("out").iloc[[5, 23], 4:].isna().all(axis=None)


def test_an_encoder_gives_the_values_of_one_process(client, folder, table, tiny_checkpoint):
    featurizer = REM3DIFeaturizer(tiny_checkpoint, device="cpu")
    featurize(client, "library", featurizer=featurizer)
    rows = pd.read_parquet("out").iloc[:, 4:]
    assert list(rows) == list(featurizer.get_feature_names_out())
    np.testing.assert_allclose(rows, expected(table.smiles, featurizer), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_worker_is_fed_by_processes_of_its_own(folder, table, tiny_checkpoint):
    table.to_parquet("more.parquet")
    settings = {"scheduler": "local:1", "partition_size": 30}  # more than what is made without processes
    for jobs in (1, 2):
        featurizer = REM3DIFeaturizer(tiny_checkpoint, device="cpu", n_jobs=jobs)
        featurize_library("more.parquet", f"rows{jobs}", featurizer, **settings)
    pd.testing.assert_frame_equal(pd.read_parquet("rows1"), pd.read_parquet("rows2"))
    with connected("local:1", processes=True) as client:
        assert client.submit(joblib.effective_n_jobs, 2).result() == 2


def test_whole_numbers_are_stored_as_such_and_others_in_the_type_asked_for(
    client, folder, tiny_checkpoint, monkeypatch
):
    featurizer = REM3DIFeaturizer(tiny_checkpoint, device="cpu")
    whole = np.zeros(len(featurizer.get_feature_names_out()), bool)
    monkeypatch.setattr(REM3DIFeaturizer, "integer_columns", lambda self: whole)
    featurize(client, "library", featurizer=featurizer, dtype="float16")
    schema = pq.read_schema(folder / "out" / "part-0000000.parquet")
    assert {str(field.type) for field in list(schema)[4:]} == {"halffloat"}
    featurize(client, "library", "ecfp")
    schema = pq.read_schema(folder / "ecfp" / "part-0000000.parquet")
    assert {str(field.type) for field in list(schema)[4:]} == {"int16"}
    for engine in (pd.read_parquet, dd.read_parquet):
        assert len(engine("out")) == len(engine("ecfp")) == 30


@pytest.mark.parametrize(
    ("dtype", "number", "reason"),
    [
        ("float32", 40000.0, "ecfp_0 is 40000, which int16 cannot hold"),
        ("float32", 0.5, "ecfp_0 is 0.5, which int16 cannot hold"),
        ("float16", 70000.0, "ecfp_1 is 70000, which halffloat cannot hold"),
    ],
)
def test_a_number_that_would_be_stored_as_another_fails_its_molecule(
    dtype, number, reason, client, folder, monkeypatch
):
    def compute(self, inputs, rows, advance):
        rows[:] = 1
        rows[0, int(reason.startswith("ecfp_1"))] = number
        return {}

    monkeypatch.setattr(ECFPFeaturizer, "_compute", compute)
    monkeypatch.setattr(ECFPFeaturizer, "integer_columns", lambda self: np.arange(32) != 1)
    done = featurize(client, "library/part.0.parquet", partition_size=12, dtype=dtype)
    failures = pd.read_csv(done.failures)
    assert failures["reason"].tolist() == [reason]
    assert failures["input"].tolist() == ["'CN'"]
    assert pd.read_parquet("out").iloc[:, 4:].isna().any(axis=1).sum() == 1


def test_a_dask_dataframe_keeps_its_partitions_and_its_named_index(client, folder, table):
    frame = dd.from_pandas(table.set_index("id"), npartitions=3, sort=False)
    done = featurize(client, frame)
    assert (done.molecules, done.failed) == (30, 2)
    assert pd.read_csv(done.failures)["id"].tolist() == ["m5", "m23"]
    assert pd.read_csv(done.failures)["index"].tolist() == [5, 23]
    found = pd.read_parquet("out")
    assert list(found)[:4] == ["id", "smiles", "plate", "pki"]
    assert found["id"].tolist() == table["id"].tolist()
    np.testing.assert_array_equal(found.iloc[:, 4:].to_numpy(float), expected(table.smiles))
    assert len(list((folder / "out").glob("part-*.parquet"))) == 3
    other = dd.from_pandas(table.assign(pki=7.0).set_index("id"), npartitions=3, sort=False)
    with pytest.raises(ValueError, match=r"made with another input \(by the token of the Dask DataFrame\);"):
        featurize(client, other)


def test_large_partitions_are_computed_in_pieces(client, folder, table, monkeypatch):
    monkeypatch.setattr(partition, "GROUP", 4)
    featurize(client, "library", partition_size=100)
    file = pq.ParquetFile(folder / "out" / "part-0000000.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 4, 4]
    found = pd.read_parquet("out")
    np.testing.assert_array_equal(found.iloc[:, 4:].to_numpy(float), expected(table.smiles))
    assert pd.read_csv("out/_failures.csv")["index"].tolist() == [5, 23]


@pytest.mark.parametrize("name", ["all.csv", "all.csv.gz", "all.tsv", "all.smi", "all.sdf"])
def test_every_format_gives_the_same_rows(name, client, folder, table):
    write(folder / name, table)
    done = featurize(client, folder / name)
    assert (done.molecules, done.failed) == (30, 2)
    found = pd.read_parquet("out")
    assert found["id"].tolist() == table["id"].tolist()
    if name != "all.smi":
        assert found["pki"].tolist() == ["6.5"] * 30
    np.testing.assert_array_equal(found.filter(like="ecfp").to_numpy(float), expected(table.smiles))


def write(path, table):
    if path.suffix == ".smi":
        path.write_text("".join(f"{row.smiles} {row.id}\n" for row in table.itertuples()))
    elif path.suffix == ".sdf":
        for i, row in enumerate(table.itertuples()):
            mol = Chem.MolFromSmiles("C" if i in (5, 23) else row.smiles)
            block = Chem.MolToMolBlock(mol) if i not in (5, 23) else "\n\n\n  1  x\nM  END\n"
            with path.open("a") as file:
                file.write(f"{row.id}{block}> <pki>\n{row.pki}\n\n$$$$\n")
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def test_columns_are_kept_by_name(client, folder):
    featurize(client, "library", keep=["pki"])
    assert list(pd.read_parquet("out"))[:4] == ["id", "smiles", "pki", "ecfp_0"]
    with pytest.raises(ValueError, match="keep: no column 'activity'; there are: id, smiles, plate, pki"):
        featurize(client, "library", "other", keep=["activity"])
    assert not (folder / "other").exists()


def test_rows_beside_rows_of_the_same_name_are_refused(client, folder):
    featurize(client, "library")
    with pytest.raises(ValueError, match="has a column 'ecfp_0' already; leave it out with keep"):
        featurize(client, "out", "again")
    done = featurize(client, "out", "again", keep=["pki"])
    assert done.molecules == 30


def test_featurizers_of_crystals_are_refused(client, folder):
    with pytest.raises(TypeError, match="must be one of molecules"):
        featurize(client, "library", featurizer=CrystalFeaturizer())
    with pytest.raises(ValueError, match="dtype must be one of 'float32', 'float16'"):
        featurize(client, "library", dtype="float64")


def test_the_featurizer_given_stays_as_it_was(client, folder):
    given = ECFPFeaturizer(n_bits=32, errors="raise", verbose=1)
    featurize(client, "library", featurizer=given)
    assert (given.errors, given.verbose) == ("raise", 1)
