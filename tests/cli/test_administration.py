"""Who is held responsible for a change made on the command line."""

from __future__ import annotations

import os
import pwd

from bridge.cli.administration import shown_json, shown_time, who_runs_this
from bridge.domain.clock import utc
from tests.support.cases import BridgeTestCase


class WhoTests(BridgeTestCase):
    def test_it_is_the_system_s_user(self) -> None:
        """Not what a variable says."""
        own = pwd.getpwuid(os.getuid()).pw_name

        self.assertEqual(who_runs_this({"USER": "somebody", "LOGNAME": "somebody"}), own)

    def test_root_by_sudo_says_whose_sudo(self) -> None:
        """Several people become root; nobody else can claim to have been somebody."""
        expected = "root (sudo by alice)" if os.getuid() == 0 else who_runs_this({})

        self.assertEqual(who_runs_this({"SUDO_USER": "alice"}), expected)


class ShownTests(BridgeTestCase):
    def test_times_are_utc_and_may_be_missing(self) -> None:
        """As in every table."""
        self.assertEqual(shown_time(utc(1_790_000_000)), "2026-09-21 14:13:20 UTC")
        self.assertEqual(shown_time(None), "")

    def test_json_is_readable(self) -> None:
        """One value a line."""
        lines = shown_json([{"a": utc(0)}]).splitlines()

        self.assertEqual(lines[2], b'    "a": "1970-01-01T00:00:00Z"')
