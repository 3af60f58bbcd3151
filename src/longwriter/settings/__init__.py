"""Settings in YAML: reads a file, checks it against typed sections, and reports one line for each bad value.

Kinds of values are in `numbers`, `texts` and `named_files`. `yaml_file` reads a file, `section` is the base of its
sections, `allowed` says in words what a field takes, and `problems` writes the messages. The sections of
params.yaml are in the room `params`.
"""
