"""The table: every name means one option, and every default is a value of its kind."""

from __future__ import annotations

from collections import Counter

from bridge.config import options
from bridge.config.sources import PROVIDER_PATHS
from tests.support.cases import BridgeTestCase


class TableTests(BridgeTestCase):
    def test_no_flag_means_two_options(self) -> None:
        """Nor twice the same one."""
        counted = Counter(flag for option in options.ALL for flag in option.flags)

        self.assertEqual([flag for flag, count in counted.items() if count > 1], [])

    def test_no_variable_means_two_options(self) -> None:
        """Fallbacks included."""
        counted = Counter(
            name
            for option in options.ALL
            for name in (*option.environment, *option.fallback_environment)
        )

        self.assertEqual([name for name, count in counted.items() if count > 1], [])

    def test_no_path_means_two_options(self) -> None:
        """And none is the list of providers."""
        counted = Counter(path for option in options.ALL for path in option.yaml_paths)
        counted.update(PROVIDER_PATHS)

        self.assertEqual([path for path, count in counted.items() if count > 1], [])

    def test_every_default_is_read_back_from_how_it_is_shown(self) -> None:
        """The reference page can be copied into a file."""
        wrong = [
            option.path
            for option in options.ALL
            if option.default not in (None, "")
            and option.kind.parse(option.kind.show(option.default)) != option.default
            and not (option.kind.secret and not option.default)
        ]

        self.assertEqual(wrong, [])

    def test_every_option_is_documented_in_a_sentence(self) -> None:
        """One line that ends."""
        wrong = [
            option.path
            for option in options.ALL
            if not option.doc.endswith(".") or "\n" in option.doc or option.doc[0] == " "
        ]

        self.assertEqual(wrong, [])
