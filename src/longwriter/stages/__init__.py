"""One thin module for each DVC stage: it reads rows, calls the rooms below, and writes rows.

params.yaml is its only input besides data.
"""

from longwriter.io import startup

startup.begin_stage()
