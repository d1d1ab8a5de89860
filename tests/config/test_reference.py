"""The page that documents every option is what the table says."""

from __future__ import annotations

from pathlib import Path

from bridge.config import options
from bridge.config.reference import reference
from tests.support.cases import BridgeTestCase

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.rst"


class ReferenceTests(BridgeTestCase):
    def test_the_page_is_what_the_table_says(self) -> None:
        """Mend it with: aibridge config reference > docs/configuration.rst"""
        self.assertEqual(PAGE.read_text("utf-8"), reference())

    def test_every_option_is_on_the_page(self) -> None:
        """Hidden ones too."""
        page = reference()

        self.assertEqual(
            [option.path for option in options.ALL if f"\n``{option.path}``\n" not in page], []
        )
