"""Pretraining of the encoders; nothing else in the package imports it but the command line."""
