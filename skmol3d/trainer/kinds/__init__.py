"""Kinds of recipe, one file each: fields, run and what the card says."""
