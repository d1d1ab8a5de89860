"""The loss test: a load, something terrible in the middle, and two ledgers of what must be there.

`make loss` runs it; see `tests.loss.__main__`. Of the product it shares nothing but the process.
"""
