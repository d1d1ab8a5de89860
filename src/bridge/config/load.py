"""Loading the settings: every source read, every problem found and reported together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.config import options, recording
from bridge.config.document import Node, load_document
from bridge.config.listening import Listener
from bridge.config.pairs import (
    impossible_pairs,
    listeners_in,
    malformed_base_urls,
    odd_exceptions,
    without_misplaced_tokens,
)
from bridge.config.providers import providers_from
from bridge.config.safety import malformed_database, refusals
from bridge.config.settings import ConfigErrors, Settings, Value, problem
from bridge.config.sources import (
    Sources,
    resolve,
    unknown_keys,
    unknown_names,
    unknown_variables,
)
from bridge.config.table import Option

Values = Mapping[Option[Any], Value[Any]]


def load(path: Path | None, flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Return the settings in force.

    Args:
        path: the YAML file; None for none.
        flags: what was given on the command line, without dashes; see `bridge.config.flags`.
        environ: the environment.

    Raises:
        ConfigErrors: with every problem found.
    """
    problems: list[str] = []
    document = Node(value={}, place="")
    if path is not None:
        document = load_document(path, environ, problems)
    sources = Sources(flags=flags, environ=environ, document=document)
    problems += unknown_keys(document)
    problems += unknown_names(sources)
    values: Values = {option: resolve(option, sources, problems) for option in options.ALL}
    left_out: list[str] = []
    providers = tuple(
        without_misplaced_tokens(each, problems, left_out)
        for each in providers_from(document, environ, values, problems)
    )
    clients = listeners_in(options.LISTEN, values[options.LISTEN], problems)
    operations = listeners_in(
        options.OPERATIONS_LISTEN, values[options.OPERATIONS_LISTEN], problems
    )
    problems += malformed_base_urls(providers)
    problems += malformed_database(values[options.DATABASE_ADDRESS])
    problems += impossible_pairs(values, clients, operations)
    unsafe = list(refusals(values, providers, clients, environ))
    allowed = bool(values[options.INSECURE].value)
    if not allowed:
        problems += unsafe
    if problems:
        raise ConfigErrors(tuple(dict.fromkeys(problems)))
    warnings = [f"allowed by insecure: {sentence}" for sentence in unsafe] if allowed else []
    warnings += left_out
    warnings += _warnings(values, operations, flags)
    warnings += unknown_variables(environ)
    return Settings(values=values, providers=providers, warnings=tuple(warnings))


def _warnings(
    values: Values,
    operations: Sequence[tuple[str, Listener]],
    flags: Mapping[str, str],
) -> Iterator[str]:
    """Yield what works but is probably not meant."""
    for option in options.ALL:
        if option.kind.secret and _in_plain_sight(option, flags):
            sentence = "every user of this machine can see a flag; use a variable or file:/path"
            yield problem(option.path, sentence, values[option].origin)
    for description, listener in operations:
        if not listener.local:
            sentence = f"{description} shows details to other machines"
            where = values[options.OPERATIONS_LISTEN]
            yield problem(where.path, sentence, where.origin)
    if values[options.HTTPS_PROXY].value and values[options.NO_PROXY].ambient:
        yield from odd_exceptions(values)  # not written for us, so commands go on
    yield from _content_nowhere(values)
    content, retention = values[recording.CONTENT_RETENTION], values[options.RETENTION]
    if content.value >= retention.value > 0:
        sentence = f"has no effect beyond {retention.path}"
        yield problem(content.path, sentence, content.origin)
    logging = values[options.STRUCTURED_LOGGING]
    silent = values[options.LOG_HUMAN].value == "" and values[options.LOG_JSON].value == ""
    if logging.value and silent:
        sentence = "has no effect while log_human and log_json are both off"
        yield problem(logging.path, sentence, logging.origin)
    run_as = values[options.RUN_AS]
    if run_as.value and values[options.DATABASE_ADDRESS].value.reveal() != "embedded":
        sentence = "has no effect without the embedded database"
        yield problem(run_as.path, sentence, run_as.origin)


def _content_nowhere(values: Values) -> Iterator[str]:
    """Yield a warning when no content is kept of anybody, in the database or in logs."""
    disabled = values[recording.DISABLE_CONTENT_RECORDING]
    levels = [values[option] for option in recording.CONTENTS.values()]
    off = [each for each in levels if each.value == "off"]
    if disabled.value or len(off) == len(levels):
        said = disabled if disabled.value else off[0]
        sentence = (
            "prompts, tool arguments and thoughts are recorded nowhere, in structured logs neither "
            "(who asked, what it cost and how it ended still is)"
        )
        yield problem(said.path, sentence, said.origin)


def _in_plain_sight(option: Option[Any], flags: Mapping[str, str]) -> bool:
    """Say whether a flag holds the secret itself, rather than the name of its file."""
    given = [flags[name] for name in option.flags if flags.get(name)]
    return any(
        not text.startswith("file:") and option.kind.show(option.kind.parse(text)) != text
        for text in given
    )
