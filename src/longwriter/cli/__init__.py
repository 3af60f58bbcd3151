"""The `longwriter` command: one thin module a subcommand."""
