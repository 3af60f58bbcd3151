"""The chat-completions server of the tests.

`wire` has the HTTP: completions, errors, broken connections. `writer` answers by rule, `faults` spoils
answers and connections, and `server` runs both in a process or a thread. Unit tests of the client use
`wire` with answers that each test gives (tests/unit/llm/endpoint.py).
"""
