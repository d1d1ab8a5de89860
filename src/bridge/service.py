"""`twistd aibridge`: its flags, its configuration errors, and the one service."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver
from twisted.python import usage

from bridge.assembly import assemble
from bridge.auth.bootstrap import ADMIN_TOKEN_FILE, DEV_TOKEN_FILE, FirstStart
from bridge.config import options
from bridge.config.flags import CONFIG_FLAG, flag_table, normalise_arguments
from bridge.config.load import load
from bridge.config.settings import ConfigErrors, Settings
from bridge.config.sources import CONFIG_VARIABLE
from bridge.deferreds import run_in_background
from bridge.domain.errors import BridgeError
from bridge.lifecycle import Lifecycle, StartFailed, reload_on_hangup
from bridge.reload import Reloaded
from bridge.reload_outcome import ReloadOutcome, write_outcome
from bridge.systemd import Systemd
from bridge.telemetry.logs import LogStreams, configure
from bridge.telemetry.streams import LogTargetError
from bridge.welcome import Welcome, welcome_text
from bridge.workers.parent import Started, parent_of_workers
from bridge.workers.supervisor import Supervisor

DAEMON_LOG = "aibridge.log"
"""In data_dir: where a daemon, which has no terminal, writes unless told otherwise."""
CONFIG_EXIT = 2
"""Exit code for a configuration that cannot be used; twistd's own usage errors exit with 1."""
_FAILED_EXIT = 1
_FOUND_CONFIG = Path("etc/bridge.yaml")
# Read by the command line when no file is named.
_PRIVATE = 0o700
_STDOUT, _STDERR = 1, 2
_HIDDEN = frozenset(flag.name for flag in flag_table() if flag.hidden)

_log = structlog.get_logger("bridge")


class Options(usage.Options):
    """The flags of `twistd aibridge`: every option's, from the one table."""

    synopsis = "[options]"
    longdesc = (
        "Every option can also stand in the environment or in the configuration file; "
        "`aibridge config show` tells what is in force and where it came from."
    )
    optParameters = [  # noqa: RUF012  # as Twisted wants it
        [CONFIG_FLAG, "c", None, "The YAML file; without one there are only defaults and flags."],
        *([flag.name, None, None, flag.doc] for flag in flag_table()),
    ]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse, with the values of switches filled in."""
        super().parseOptions(normalise_arguments(options or ()))

    def getUsage(self, width: int | None = None) -> str:
        """Return the help, without second spellings."""
        every, self.longOpt = (
            self.longOpt,
            [name for name in self.longOpt if name.rstrip("=") not in _HIDDEN],
        )
        try:
            return str(super().getUsage(width))
        finally:
            self.longOpt = every

    @property
    def given(self) -> Mapping[str, str]:
        """The flags that were used, by name."""
        return {
            name: value for name, value in self.items() if value is not None and name != CONFIG_FLAG
        }


def makeService(parsed: Options) -> BridgeService:  # twistd's name
    """Return the service for a command line; exits with 2 and every problem if it cannot run."""
    named = parsed[CONFIG_FLAG] or os.environ.get(CONFIG_VARIABLE)
    path = Path(named).absolute() if named else None
    parent = parsed.parent if parsed.parent is not None else {}

    def read() -> Settings:
        return load(path, parsed.given, os.environ)

    try:
        settings = read()
    except ConfigErrors as errors:
        _complain("The configuration cannot be used:", *errors.problems)
        sys.exit(CONFIG_EXIT)
    return BridgeService(
        settings=settings,
        read=read,
        in_foreground=bool(parent.get("nodaemon", True)),
        config=parsed[CONFIG_FLAG] or "",
        path=str(path or ""),
        flags=parsed.given,
    )


class BridgeService(Service):
    """One bridge under twistd."""

    name = "aibridge"

    def __init__(
        self,
        *,
        settings: Settings,
        read: Callable[[], Settings],
        in_foreground: bool,
        config: str,
        path: str = "",
        flags: Mapping[str, str] | None = None,
    ) -> None:
        """Get ready to run; opens the logs, because twistd takes them before it goes on.

        Args:
            settings: what is in force.
            read: reads them anew, for SIGHUP; raises ConfigErrors.
            in_foreground: whether there is a terminal to talk to.
            config: the file that a flag named, as it was written; "" for none.
            path: where it is; "" for none.
            flags: what the command line says besides.
        """
        from twisted.internet import reactor

        self._reactor: Any = reactor
        self._settings = settings
        self._read = read
        self._in_foreground = in_foreground
        self._config = config
        self._path = path
        self._flags = flags or {}
        self._directory = os.getcwd()  # noqa: PTH109  # a text is wanted
        self._systemd = Systemd(os.environ, reactor=reactor)
        self._workers: Supervisor | None = None
        self._human = ""
        # A daemon changes its directory and loses its terminal: nothing may depend on either.
        self._data_dir = settings[options.DATA_DIR].absolute()
        self._shown_data_dir = settings[options.DATA_DIR]
        self._lifecycle: Lifecycle | None = None
        self._streams = self._open_logs()

    def setServiceParent(self, parent: Any) -> None:
        """Join twistd's application, and take over its logging."""
        super().setServiceParent(parent)
        if hasattr(parent, "setComponent"):
            parent.setComponent(ILogObserver, self._streams.observer)

    def startService(self) -> None:
        """Start; a start that cannot succeed ends the process with a sentence and exit code 1."""
        super().startService()
        reload_on_hangup(self._reload, self._reactor)  # whose default would end the process
        for warning in self._settings.warnings:
            _log.warning("configuration", warning=warning)
        try:
            self._lifecycle = self._assembled()
            self._lifecycle.start()
        except (StartFailed, BridgeError, OSError) as error:
            _log.error("start failed", reason=str(error))
            # A thread that has begun to work must end: the interpreter would wait for it for ever.
            self._reactor.fireSystemEvent("shutdown")
            if not self._in_foreground:
                raise  # twistd's parent process waits to be told, and exits with 1
            _complain(f"AI Bridge cannot start: {error}")
            sys.exit(_FAILED_EXIT)
        self._tell_reload(())

    def stopService(self) -> Deferred[None] | None:
        """Stop everything in order; twistd waits for it."""
        super().stopService()
        self._systemd.stopping("answers under way may end")
        if self._lifecycle is None:
            return None
        stopped = Deferred.fromCoroutine(self._lifecycle.stop())
        return stopped.addCallback(lambda _: self._systemd.close())

    def _assembled(self) -> Lifecycle:
        """Wire this process: the whole bridge, or the parent of workers."""
        count = self._settings[options.WORKERS]
        if count and self._settings[options.ENABLED]:
            self._lifecycle, self._workers = parent_of_workers(
                self._settings,
                processes=count,
                reactor=self._reactor,
                streams=self._streams,
                data_dir=self._data_dir,
                started=Started(
                    directory=self._directory,
                    config=self._path,
                    flags=self._flags,
                    log_human=self._human,
                    environ=os.environ,
                ),
                on_ready=self._ready,
                on_failure=self._failed,
            )
            self._keep_configuration(self._workers)
            return self._lifecycle
        bridge = assemble(
            self._settings, reactor=self._reactor, streams=self._streams, data_dir=self._data_dir
        )
        return Lifecycle(bridge=bridge, on_ready=self._ready, on_failure=self._failed)

    def _open_logs(self) -> LogStreams:
        human = self._settings[options.LOG_HUMAN]
        try:
            self._data_dir.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
            self._data_dir.chmod(_PRIVATE)
            if human is None:
                human = "/dev/stderr" if self._in_foreground else str(self._data_dir / DAEMON_LOG)
            self._human = human
            return configure(
                log_human=human,
                log_json=self._settings[options.LOG_JSON],
                level=self._settings[options.LOG_LEVEL],
                clock=self._reactor,
                twisted=False,
            )
        except LogTargetError as error:
            _complain(str(error))
        except OSError as error:
            _complain(
                f"data_dir: {self._shown_data_dir} cannot be used: {os.strerror(error.errno or 0)}."
            )
        sys.exit(_FAILED_EXIT)

    def _ready(self, first: FirstStart | None) -> None:
        assert self._lifecycle is not None  # noqa: S101 - it is what calls us
        scheme, address = self._lifecycle.addresses[0]
        where = _url(scheme, address)
        _log.info("ready", address=where)
        self._systemd.status(f"serves {where}")
        if not self._in_foreground:
            return
        text = welcome_text(
            Welcome(
                address=where,
                providers=self._settings.providers,
                admin_token=self._shown_data_dir / ADMIN_TOKEN_FILE,
                dev_token=self._shown_data_dir / DEV_TOKEN_FILE,
                command=_command(self._config),
                enabled=self._settings[options.ENABLED],
                first_start=first is not None,
            )
        )
        # Not sys.stdout: twistd has turned that into log lines.
        _write(_STDOUT, text)

    def _failed(self, error: StartFailed) -> None:
        _log.error("start failed", reason=str(error))
        if self._in_foreground:
            _complain(f"AI Bridge cannot start: {error}")
        # twistd knows no exit code of a running application, and cleans up before this is called.
        atexit.register(os._exit, _FAILED_EXIT)
        # It may have failed at once, before the reactor runs, which then could not be stopped.
        self._reactor.callWhenRunning(self._reactor.stop)

    def _reload(self) -> None:
        """Open log files anew and take over what may change while running."""
        self._streams.reopen()
        if self._lifecycle is None:
            return  # it has just been read
        self._systemd.reloading()
        try:
            settings = self._read()
            done = self._lifecycle.reload(settings)
        except (ConfigErrors, OSError, ValueError) as error:
            problems = error.problems if isinstance(error, ConfigErrors) else (str(error),)
            _log.error("configuration not reloaded", problems=list(problems))
            self._tell_reload(problems)
            return
        self._streams.set_level(settings[options.LOG_LEVEL])
        _log.info(
            "reloaded",
            log_level=settings[options.LOG_LEVEL],
            providers=list(done.providers),
            after_a_restart=list(done.waiting),
        )
        if self._workers is None:
            self._tell_reload((), done)
        else:
            run_in_background("reload the workers", self._reload_workers(self._workers, done))

    def _keep_configuration(self, workers: Supervisor) -> None:
        """Have workers that are started from now on use what the file says now."""
        if workers.spawning is not None and self._path:
            workers.spawning.content = Path(self._path).read_bytes()

    async def _reload_workers(self, workers: Supervisor, done: Reloaded) -> None:
        self._keep_configuration(workers)
        problems = await workers.reload()
        if problems:
            _log.error("configuration not reloaded by all workers", problems=problems)
        self._tell_reload(problems, done)

    def _tell_reload(self, problems: Sequence[str], done: Reloaded | None = None) -> None:
        """Leave word for the command line of what a reload came to."""
        bridge = self._lifecycle
        try:
            write_outcome(
                self._data_dir,
                ReloadOutcome(
                    pid=os.getpid(),
                    at=self._reactor.seconds(),
                    problems=tuple(problems),
                    providers=tuple(done.providers) if done is not None else (),
                    waiting=tuple(done.waiting) if done is not None else (),
                ),
            )
        except OSError as error:
            _log.warning("outcome of the reload not written", reason=str(error))
        self._systemd.ready("the configuration was read")
        if bridge is not None:
            bridge.reloaded(succeeded=not problems)


def _url(scheme: str, address: Any) -> str:
    host = getattr(address, "host", None)
    if host is None:
        return str(address)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{address.port}"


def _command(config: str) -> str:
    """Return how to call the command line from here: a virtual environment may not be active."""
    beside = Path(sys.executable).parent / "aibridge"
    program = "aibridge"
    if shutil.which("aibridge") != str(beside) and beside.exists():
        inside = beside.is_relative_to(Path.cwd())
        program = str(beside.relative_to(Path.cwd()) if inside else beside)
    found_anyway = not config or Path(config) == _FOUND_CONFIG
    return program if found_anyway else f"{program} --config {shlex.quote(config)}"


def _complain(*lines: str) -> None:
    _write(_STDERR, "\n  ".join(lines) + "\n")


def _write(descriptor: int, text: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except OSError:
        _log.warning("terminal not written to")
