"""Whatever stands in the file, a variable or a flag: settings, or sentences about it."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config import options
from bridge.config.load import load
from bridge.config.settings import ConfigErrors
from tests.config.support import ConfigCase

KEYS = sorted(
    {part for option in options.ALL for path in option.yaml_paths for part in path.split(".")}
    | {"providers", "name", "type", "base_url", "key", "keys", "region"}
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=20),
    st.sampled_from(["anthropic", "demo", "bedrock", "tcp:1", "http://[x", "${A}", "${", "1d"]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
FLAGS = sorted({flag for option in options.ALL for flag in option.flags})
VARIABLES = sorted(
    {name for option in options.ALL for name in option.environment}
    | {
        f"AIBRIDGE_PROVIDER_{n}_{field}"
        for n in range(2)
        for field in ("TYPE", "NAME", "KEY", "KEYS", "BASE_URL", "REGION", "SECRET")
    }
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "anthropic", "postgresql://u:p@h/d", "postgresql://[", "ssl:1", "systemd:domain=INET",
            "haproxy:", "tcp:", "tcp:1:interface=", "https://h:x/", "\0", "\ud800", "file:/",
            "9" * 400, "9" * 400 + "d", "1e400", "\u0663d", "tcp:\u0663",
        ]
    ),
)  # fmt: skip


class AnythingTests(ConfigCase):
    def load_or_refuse(self, *args: object) -> None:
        """Load; whatever is wrong is a list of printable problems."""
        try:
            load(*args)  # type: ignore[arg-type]
        except ConfigErrors as errors:
            self.assertTrue(errors.problems)
            self.assertTrue(all(isinstance(each, str) and each for each in errors.problems))

    @settings(max_examples=150, deadline=None)
    @given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=5))
    def test_any_tree_of_values_is_settings_or_problems(self, tree: dict[str, object]) -> None:
        """Every key at every place, with a value of any kind."""
        path = self.directory / "bridge.yaml"
        path.write_bytes(yaml.safe_dump(tree).encode("utf-8", "surrogatepass"))

        self.load_or_refuse(path, {}, {})

    @settings(max_examples=150, deadline=None)
    @given(st.text(max_size=200))
    def test_any_text_is_settings_or_problems(self, text: str) -> None:
        """A file may be anything."""
        path = self.directory / "bridge.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))

        self.load_or_refuse(path, {}, {})

    @settings(max_examples=300, deadline=None)
    @given(
        st.dictionaries(st.sampled_from(FLAGS), TEXTS, max_size=4),
        st.dictionaries(st.sampled_from(VARIABLES), TEXTS, max_size=4),
    )
    def test_any_flags_and_variables_are_settings_or_problems(
        self, flags: dict[str, str], environ: dict[str, str]
    ) -> None:
        """Whatever a template left in them."""
        self.load_or_refuse(None, flags, environ)
