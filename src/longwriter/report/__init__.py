"""The report of a comparison: Markdown, one HTML page, and figures."""
