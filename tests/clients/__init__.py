"""Real clients, as npm has them, against the real bridge: `make test-clients`.

No module here is called test_…, so that the plain suite, which needs no network, finds none.
"""
