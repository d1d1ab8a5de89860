"""`python -m bridge.workers`: a worker; started by a bridge, and of no use to anybody else."""

from __future__ import annotations

import os
import sys
from typing import Any

from bridge.config.settings import ConfigErrors
from bridge.workers.messages import FROM_PARENT
from bridge.workers.worker import Worker, hello_from

_CONFIG_EXIT = 2


def main() -> int:
    """Run until the parent says that it is over, or is gone."""
    from twisted.internet import reactor as installed

    reactor: Any = installed

    hello = hello_from(FROM_PARENT)
    try:
        worker = Worker(hello, reactor=reactor, environ=os.environ)
    except ConfigErrors as errors:
        sys.stderr.write("\n  ".join(errors.problems) + "\n")
        return _CONFIG_EXIT
    reactor.callWhenRunning(worker.start)
    reactor.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
