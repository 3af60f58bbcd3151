"""One thin module a DVC stage: it reads, calls the rooms below, and writes. params.yaml is its only input."""

from longwriter.io import startup

startup.begin_stage()
