"""Preference pairs for DPO: which samples are paired, and which pairs are rejected."""
