"""What no training row may hold: prompts of benchmarks, even if a few words differ, and withdrawn rows."""
