"""Parameters of featurizers as options."""

import argparse
import inspect

import pytest

from skmol3d import CrystalFeaturizer, ECFPFeaturizer
from skmol3d.cli.options import HANDLED, add_parameters, given_parameters, kinds, make_featurizer, parameters


def test_every_featurizer_is_found_by_its_kind():
    assert set(kinds()) >= {"ecfp", "mo3enet", "potential", "rem3di"}
    assert kinds()["ecfp"] is ECFPFeaturizer


@pytest.mark.parametrize("cls", kinds().values(), ids=kinds())
def test_every_parameter_of_every_featurizer_is_an_option_that_says_what_it_is(cls):
    found = parameters(cls)
    assert set(found) | set(HANDLED) >= set(inspect.signature(cls).parameters)
    assert all(parameter.summary for parameter in found.values())
    parser = argparse.ArgumentParser()
    assert set(add_parameters(parser)) >= set(found)


def test_values_are_read_by_the_annotations():
    parser = argparse.ArgumentParser()
    add_parameters(parser)
    words = "--blocks words,signed --relax none --time-limit 2 --n-jobs -1 --count --device cpu --symprec 0.1"
    assert given_parameters(parser.parse_args(words.split())) == {
        "blocks": ("words", "signed"),
        "relax": None,
        "time_limit": 2.0,
        "n_jobs": -1,
        "count": True,
        "device": "cpu",
        "symprec": 0.1,
    }
    assert given_parameters(parser.parse_args([])) == {}


def test_choices_and_defaults_come_from_the_docstring_and_the_signature():
    relax = parameters(kinds()["rem3di"])["relax"]
    assert relax.choices == "{mmff,none}"
    assert relax.help().endswith("(default: none)")
    assert parameters(CrystalFeaturizer)["symprec"].help() == (
        "Å by which atoms may miss their symmetric places (default: 0.01)"
    )


def test_a_choice_of_columns_has_a_name():
    found = make_featurizer("rem3di-small", given={"blocks": ("trees",)})
    assert found.blocks == "trees"
    assert make_featurizer("rem3di-small", given={"blocks": ("strain",)}).blocks == ("strain",)
