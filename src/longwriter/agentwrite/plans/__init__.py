"""The plan of a text: its format, its rules, and how much of the instruction it covers."""
