"""Calls, tokens, cost and time of AgentWrite, estimated before anything is paid for."""
