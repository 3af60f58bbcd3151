"""What the runner of stages writes to the log."""

import logging

from longwriter.execution import runner


def test_a_log_line_shows_what_a_terminal_would_obey():
    record = logging.LogRecord("x", logging.INFO, "", 0, "server said %s", ("\x1b]0;t\x07\r\u202eok",), None)
    assert runner._Inert("%(message)s").format(record) == r"server said \x1b]0;t\x07\x0d\u202eok"
