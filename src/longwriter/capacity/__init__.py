"""Whether a training fits a machine, computed before anything is paid for."""
