"""The report of a run: one page to look, listen and choose, and contact sheets."""
