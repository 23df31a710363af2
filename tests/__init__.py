"""A package, or else another one called tests, which comes with mace-torch, is found in worker processes."""
