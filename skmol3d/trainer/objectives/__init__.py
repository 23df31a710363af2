"""Pretraining objectives: each is a module whose forward returns a dict of scalar losses."""
