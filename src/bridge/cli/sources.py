"""Where commands read and change: the configured database, or a bridge's API with `--url`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from bridge.cli.administration import wrong_usage
from bridge.cli.configuration import Configuration
from bridge.cli.remote import Remote, RemoteError
from bridge.cli.session import Session, run_with_store
from bridge.domain.identity import Secret

T = TypeVar("T")

_TOKEN_VARIABLE = "AIBRIDGE_TOKEN"  # noqa: S105 - its name
_LONGEST_TOKEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[T]):
    """One thing to be read, or to be changed, in both ways."""

    path: str
    """Of the API, below its prefix."""
    returns: type[T]
    """What the API's JSON is."""
    direct: Callable[[Session], Awaitable[T]]
    """Does the same on the database, and audits that."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Of the API."""
    method: str = "GET"
    """Of the API."""
    body: object = None
    """Of the API, sent as JSON; None for none."""


class Source:
    """The one of both that was chosen."""

    def __init__(self, configuration: Configuration, remote: Remote | None) -> None:
        """Ask `remote`, or else the configured database."""
        self.configuration = configuration
        self.remote = remote

    def ask(self, question: Question[T]) -> T:
        """Return the answer.

        Raises:
            RemoteError: the bridge does not give it.
            BridgeError: the database does not.
        """
        if self.remote is not None:
            return self.remote.ask(
                question.method, question.path, question.params, question.body, question.returns
            )
        return run_with_store(self.configuration.settings, question.direct)

    def read_on(self, first: Question[T], take: Callable[[T], Question[T] | None]) -> None:
        """Give `take` the answer, and that to each question it returns, until it returns None.

        Raises:
            RemoteError: the bridge does not give one of them.
            BridgeError: the database does not.
        """
        following: Question[T] | None = first
        if self.remote is not None:
            while following is not None:
                following = take(self.ask(following))
            return

        async def work(session: Session) -> None:
            nonlocal following
            while following is not None:
                following = take(await following.direct(session))

        run_with_store(self.configuration.settings, work)


def reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--url` and `--token-file`, and the Source as its first argument."""

    @click.option(
        "--url",
        envvar="AIBRIDGE_URL",
        metavar="URL",
        help="Ask this bridge's API instead of the database; $AIBRIDGE_URL.",
    )
    @click.option(
        "--token-file",
        envvar="AIBRIDGE_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help=f"File that holds the token for that; or the token itself in ${_TOKEN_VARIABLE}.",
    )
    @click.option("--insecure", envvar="AIBRIDGE_INSECURE", is_flag=True, hidden=True)
    @click.pass_context
    @wraps(function)
    def command(
        context: click.Context,
        /,
        *args: Any,
        url: str | None,
        token_file: Path | None,
        insecure: bool,
        **given: Any,
    ) -> Any:
        configuration: Configuration = context.obj
        remote = None
        if url:
            token = _token(token_file, configuration.environ)
            remote = Remote(url=url, token=token, insecure=insecure)
        return function(Source(configuration, remote), *args, **given)

    return command


def managing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do the same for a command that changes something: what no user can be is wrong usage."""

    @wraps(function)
    def command(*args: Any, **given: Any) -> Any:
        with wrong_usage():
            return function(*args, **given)

    return reading(command)


def _token(path: Path | None, environ: Mapping[str, str]) -> Secret:
    """Return the token that a file or the environment holds.

    Raises:
        RemoteError: there is none.
    """
    if path is None:
        text = environ.get(_TOKEN_VARIABLE, "").strip()
        if not text:
            msg = f"The API needs a token of scope manage: --token-file, or ${_TOKEN_VARIABLE}."
            raise RemoteError(msg, exit_code=2)
        return Secret(text)
    try:
        with path.open("r", encoding="ascii") as file:
            text = file.read(_LONGEST_TOKEN).strip()
    except OSError as error:
        raise RemoteError(f"{path}: {error.strerror}.", exit_code=2) from error
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise RemoteError(f"{path} holds no token.", exit_code=2)
    return Secret(text)
