"""The soak test: a long load with everything that goes wrong, and nothing that may grow by it."""
