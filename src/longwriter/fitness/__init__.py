"""Tests of a judge: degraded copies, attacks, repeated questions, and votes of people."""
