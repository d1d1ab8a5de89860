"""The fault matrix: what becomes of every way in which a provider can fail, for each API.

`test_matrix` checks it; `python -m tests.faults` prints what was seen as a table.
"""
