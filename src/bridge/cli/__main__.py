"""`python -m bridge.cli`: the command line, where its script is not installed."""

from bridge.cli.main import main

main()
