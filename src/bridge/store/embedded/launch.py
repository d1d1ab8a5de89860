"""Becomes another program as another user, in a session of its own.

Run as a script by the interpreter alone (`-I -S`), in the child: a server in our session would get
the terminal's Ctrl-C, which means "shut down" to it, before the bridge has drained.
"""

from __future__ import annotations

import os
import resource
import sys


def main(arguments: list[str]) -> None:
    """Execute the program.

    Args:
        arguments: user id, group id, then the program's path and arguments.
    """
    uid, gid, program = int(arguments[0]), int(arguments[1]), arguments[2:]
    os.setsid()
    os.umask(0o077)
    # A core file of the server holds prompts.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getuid() == 0:
        os.seteuid(0)  # a command that root runs acts as the owner of the data, but only for itself
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.execv(program[0], program)  # noqa: S606  # that is its purpose


if __name__ == "__main__":
    main(sys.argv[1:])
