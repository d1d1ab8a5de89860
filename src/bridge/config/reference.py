"""The page of the documentation that lists every option, made from the table."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from bridge.config import aws, options
from bridge.config.entries import FIELDS
from bridge.config.providers import RESERVED_NAMES
from bridge.config.table import ALIAS, ESTABLISHED, Option

_WIDTH = 100
_TYPED = re.compile(r'(""|\w+://[^\s;,]*[^\s;,.]|/dev/\w+|\$\{\w+\}|file:/path|[a-z_]+/\w+\.log)')
"""What of an option's documentation is typed as it stands."""

_INTRODUCTION = """\
Configuration
=============

.. This page is made from the table of options: aibridge config reference > docs/configuration.rst

Every option can be set by a flag of ``twistd aibridge``, by an environment variable, or in the YAML
file named by ``--config`` or ``AIBRIDGE_CONFIG``. The first of these that sets it counts, else the
default does.

``aibridge --config FILE config show`` prints every value in force and where it came from, with
secrets masked; ``aibridge --config FILE config check`` lists everything that is wrong with a file,
each problem with its YAML path, and exits with 2 if there is anything.

Names
-----

All names of an option follow from its YAML path. ``limits.first_byte`` is the flag
``--limits-first-byte`` and the variable ``AIBRIDGE_LIMITS_FIRST_BYTE``. Options in the group
``aibridge`` also go by the names of the established gateway: ``aibridge.retention`` is
``--aibridge-retention`` or ``--ai-gateway-retention``, and ``CODER_AIBRIDGE_RETENTION``,
``CODER_AI_GATEWAY_RETENTION`` or ``AIBRIDGE_RETENTION``; in the file the group may be called
``ai_gateway``. Two spellings of one option with different values are refused when both are flags,
both variables, or both in the file.

An empty variable, or an empty text in the file, is as if it were not there, except for options
whose documentation gives ``""`` a meaning.

Values
------

Durations
    A number with ``ms``, ``s``, ``m``, ``h``, ``d`` or ``w``, or several (``12h30m``), or ``0``.
Sizes
    A number of bytes, or one with ``kB``, ``MB``, ``GB``, ``KiB``, ``MiB``, ``GiB``.
Truth values
    ``true`` or ``false``. As a flag, ``--aibridge-enabled=false``; ``--aibridge-enabled`` alone is
    true.
Secrets
    The text itself, or ``file:/path`` of a file that holds it. A flag can be seen by every user of
    the machine, so a variable or a file is better.
Variables in the file
    ``${VARIABLE}`` is replaced and must be set; ``${VARIABLE:-}`` may be missing;
    ``${VARIABLE:-text}`` has a default; ``$${`` is a literal ``${``.
Paths
    Relative ones start at the working directory of the bridge.

What is refused
---------------

Unknown keys, wrong types and settings that contradict each other stop the start. So do settings
that would let credentials or records travel unprotected, unless ``insecure: true`` says that it is
meant:

- a ``listen`` that other machines can reach without TLS (``ssl:``) or ``behind_proxy: true``;
- a ``base_url`` of plain ``http`` off this machine together with a key, or with a user's name or
  password in it;
- a ``database`` on another machine without ``sslmode=require``, ``verify-ca`` or ``verify-full``;
- a provider of the type ``demo`` with a ``listen`` that other machines can reach.
"""

_SECTIONS: tuple[tuple[str, str, str], ...] = (
    ("The process", "", ""),
    (
        "The gateway",
        "aibridge.",
        "These also go by the established names; see above.",
    ),
    ("Limits", "limits.", "Every wait has a limit; the error of a limit that fires names it."),
    ("The journal", "journal.", "The files in ``data_dir/journal`` that the database gets."),
    ("What is recorded", "record.", "Applied before anything is written."),
    (
        "What is recorded of whom",
        "aibridge.record_by_role.",
        "Of what is said for everybody, a provider and each role of a user the strictest counts.",
    ),
    ("Metrics", "metrics.", "They are served at ``/metrics`` of ``operations_listen``."),
    ("The SIEM", "siem.", "See :doc:`siem`."),
    ("Tokens", "tokens.", ""),
    ("Identity", "auth.", ""),
)
"""Heading, beginning of the YAML paths, a sentence."""

_PROVIDERS = """\
Providers
---------

``aibridge.providers`` is a list; each entry is served at ``/<name>/…``, and at the same below
``/api/v2/aibridge/`` and ``/api/v2/ai-gateway/``::

    aibridge:
      providers:
        - name: anthropic
          type: anthropic
          base_url: https://api.anthropic.com/
          key: ${ANTHROPIC_API_KEY:-}

"""
_BEDROCK = """\

A provider of the type ``bedrock`` has no ``key``, and these fields beside the others:

"""
_PROVIDERS_END = """\

Entries can be added by variables ``CODER_AI_GATEWAY_PROVIDER_<N>_<FIELD>`` (or
``CODER_AIBRIDGE_PROVIDER_…``, ``AIBRIDGE_PROVIDER_…``), numbered from 0 without gaps, such as
``CODER_AI_GATEWAY_PROVIDER_0_TYPE``; ``KEYS`` is separated by commas.

``aibridge.anthropic_key`` and ``aibridge.anthropic_base_url`` fill in what the entry ``anthropic``
leaves out, or add the entry; as flags or variables they also take the place of what the file says
there. So do those of ``openai``; those of ``bedrock`` fill in or add, and are refused where they
contradict the file. With them, and neither a list nor a key for ``anthropic``, Bedrock is served
under that name too. Without a list there is a provider ``anthropic``,
and ``ANTHROPIC_API_KEY`` is its key when nothing else is.

"""


def reference() -> str:
    """Return `docs/configuration.rst`."""
    return "".join((_INTRODUCTION, *_sections(), *_providers()))


def _sections() -> Iterator[str]:
    for heading, prefix, sentence in _SECTIONS:
        yield f"\n{heading}\n{'-' * len(heading)}\n\n"
        if sentence:
            yield f"{sentence}\n\n"
        for option in options.ALL:
            if _group(option) == prefix:
                yield from _described(option)


def _described(option: Option[Any]) -> Iterator[str]:
    default = option.default_text or ('""' if option.empty else "")
    yield f"``{option.path}``\n"
    yield f"{_prose(option.doc)}\n\n"
    facts = [
        ("Value", option.kind.name),
        ("Default", f"``{default}``" if default else "none"),
        ("Flag", _names(f"--{name}" for name in _shown_flags(option))),
        ("Variable", _names(_shown_variables(option))),
    ]
    others = option.yaml_paths[1:]
    others = tuple(path for path in others if not path.startswith(ALIAS))
    if others:
        facts.append(("Also", _names(others)))
    if option.reloadable:
        facts.append(("Reload", "a changed value is put in force by SIGHUP"))
    for name, fact in facts:
        yield f"    :{name}: {fact}\n"
    yield "\n"


def _providers() -> Iterator[str]:
    yield "\n" + _PROVIDERS
    for name, doc in FIELDS.items():
        yield f"``{name}``\n{_prose(doc)}\n"
    yield _BEDROCK
    for name, doc in aws.FIELDS.items():
        yield f"``{name}``\n{_prose(doc)}\n"
    yield _PROVIDERS_END
    names = textwrap.fill(
        " ".join(sorted(RESERVED_NAMES)),
        width=_WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )
    yield f"These names are taken by the bridge itself::\n\n{names}\n"


def _group(option: Option[Any]) -> str:
    group, dot, _ = option.path.rpartition(".")
    known = [prefix for _, prefix, _ in _SECTIONS if prefix and option.path.startswith(prefix)]
    return max(known, key=len) if known else group + dot


def _shown_flags(option: Option[Any]) -> list[str]:
    """Return the preferred flag, and those that do not follow from the YAML path."""
    return [option.flags[0], *option.more_flags]


def _shown_variables(option: Option[Any]) -> list[str]:
    preferred = option.environment[0]
    if not option.path.startswith(ESTABLISHED):
        extra = [name for name in option.environment[1:] if name.startswith("CODER_")]
        return [preferred, *extra, *option.fallback_environment]
    return [preferred, *option.more_environment, *option.fallback_environment]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"``{name}``" for name in names)


def _prose(doc: str) -> str:
    """Return the sentence indented, in lines of a readable length, with what is typed set apart."""
    marked = _TYPED.sub(r"``\1``", doc)
    return textwrap.fill(
        marked,
        width=_WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
