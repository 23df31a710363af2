"""Pretraining objectives, one file each, registered where they are defined (`registry`)."""
