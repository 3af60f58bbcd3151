"""The plan of a text: how it is asked for, its format, its rules, and how much of the instruction it covers."""
