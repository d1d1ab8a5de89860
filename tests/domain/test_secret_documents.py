"""Tests for bridge.domain.secret_documents: what a string of JSON is, by what it stands beside."""

from __future__ import annotations

import json

from bridge.domain.secret_documents import MOST_STRINGS
from bridge.domain.secret_patterns import ExtraPattern
from bridge.domain.secret_work import MOST_AT_ONCE, Laborious, Work
from bridge.domain.secrets import Secrets, known_secrets
from tests.domain.secret_samples import POSITIVES, X
from tests.support.cases import BridgeTestCase

_BASIC = "Basic dXNlcjpzM2NyZXRwYXNz"
_SECRETS: tuple[tuple[object, object], ...] = (
    # Behind a flag
    (
        {"argv": ["mysql", "-u", "root", "--password", "S3cr3t-Pa55w!"]},
        {"argv": ["mysql", "-u", "root", "--password", "[redacted:password]"]},
    ),
    (["login", "--token", X(24), "now"], ["login", "--token", "[redacted:token]", "now"]),
    (["--db-password", "geh eim1"], ["--db-password", "geh eim1"]),
    (["--db-password", "geheim1! a"], ["--db-password", "[redacted:password]"]),
    (["-api-key", X(24)], ["-api-key", "[redacted:key]"]),
    (["--password", 'S3"c\\r3t'], ["--password", "[redacted:password]"]),
    # Behind curl's
    (["curl", "-u", "user:password"], ["curl", "-u", "user:password"]),
    (["curl", "-u", "user:hunter2"], ["curl", "-u", "user:[redacted:password]"]),
    (["/usr/bin/curl", "--user", "me:a:b c"], ["/usr/bin/curl", "--user", "me:a:b c"]),
    (
        {"command": "curl", "args": ["-s", "-u", "user:hunter2", "https://x"]},
        {"command": "curl", "args": ["-s", "-u", "user:[redacted:password]", "https://x"]},
    ),
    # Credentials in headers
    (
        {"headers": {"Authorization": _BASIC}},
        {"headers": {"Authorization": "Basic [redacted:authorization]"}},
    ),
    ({"Authorization": "token abc123def"}, {"Authorization": "token [redacted:authorization]"}),
    ({"authorization": "Bearer abc123def"}, {"authorization": "Bearer [redacted:authorization]"}),
    ({"Authorization": [_BASIC]}, {"Authorization": ["Basic [redacted:authorization]"]}),
    ([["Authorization", _BASIC]], [["Authorization", "Basic [redacted:authorization]"]]),
    (
        [{"value": _BASIC, "name": "Authorization"}],
        [{"value": "Basic [redacted:authorization]", "name": "Authorization"}],
    ),
    # Named by another member
    (
        [{"name": "DB_PASSWORD", "value": "geheim"}],
        [{"name": "DB_PASSWORD", "value": "[redacted:password]"}],
    ),
    (
        {"env": [{"value": X(24), "x": 1, "key": "API_KEY"}]},
        {"env": [{"value": "[redacted:key]", "x": 1, "key": "API_KEY"}]},
    ),
    (
        [{"name": "DB_PASSWORD", "of": {"name": "color", "value": "red"}, "value": "geheim"}],
        [
            {
                "name": "DB_PASSWORD",
                "of": {"name": "color", "value": "red"},
                "value": "[redacted:password]",
            }
        ],
    ),
    # Named by the member that the array is in
    ({"password": ["geheim1", "geheim2"]}, {"password": ["[redacted:password]"] * 2}),
)
_NONE: tuple[object, ...] = (
    ["--password-file", "/etc/x"],
    ["--password-file", "hunter2x"],
    ["--password", "--verbose"],
    ["--password", "/run/secrets/db"],
    ["--password", "$DB_PASSWORD"],
    ["--password", "Password of the user"],
    ["--password", "asks for a password"],
    ["--password", 1, "hunter2x"],
    ["--password", ["hunter2x"]],
    ["--password", {"a": "hunter2x"}],
    [["--password"], "hunter2x"],
    ["--max-tokens", "4096"],
    ["--next-token", X(24)],
    ["password", "email"],
    ["username", "password", "email"],
    ["git", "commit", "-u", "no"],
    ["git", "push", "-u", "origin:main"],
    ["docker", "run", "-u", "1000:1000", "image"],
    [["curl", "-v"], ["docker", "run", "-u", "1000:1000"]],
    ["curl", "-u", "$USER:$PASS"],
    ["curl", "-u", "https://example.com"],
    {"authorization": "required"},
    {"authorization": "token based"},
    {"Authorization": "Bearer <token>"},
    {"Authorization": "Bearer authentication"},
    {"name": "color", "value": "red"},
    {"name": "DB_PASSWORD", "value": "${DB_PASSWORD}"},
    {"name": "DB_PASSWORD", "value": "changeme"},
    {"name": "max_tokens", "value": "4096000000"},
    {"name": "password", "value": "is set by the user"},
    {"key": "login.password", "value": "Password"},
    [{"name": "DB_PASSWORD"}, {"value": "hunter2x"}],
    {"name": "DB_PASSWORD", "x": {"value": "hunter2x"}},
    {"password": 12345678, "username": "hunter2x"},
    {"text": "the flags --password and --token, and -u"},
    {"token": "the token is read from a file"},
)


class NeighbourTests(BridgeTestCase):
    def test_what_stands_beside_a_string_says_that_it_is_a_secret(self) -> None:
        """A flag before it, its member's name, or what another member says its name is."""
        for document, kept in _SECRETS:
            for spacing in (None, 2, 8):
                text = json.dumps(document, indent=spacing)

                shown, count = known_secrets().redacted_json(text)

                self.assertEqual(shown, json.dumps(kept, indent=spacing))
                self.assertEqual(count, shown.count("[redacted:"))

    def test_what_is_found_in_a_text_is_found_in_a_document(self) -> None:
        """JSON writes ends of lines, tabs and quotes in its own way."""
        missed = [
            said
            for _, text, _ in POSITIVES
            for before in ("", "\n", "\t", "\b", "\f", "\r", '"', "\\", "x\n  ")
            for spacing in (" ", "\n", "\t", "\r\n")
            for said in [before + text.replace(" ", spacing)]
            if known_secrets().redacted(said)[1]
            and not known_secrets().redacted_json(json.dumps({"command": said}))[1]
        ]

        self.assertEqual(missed, [])

    def test_what_only_looks_alike_stays(self) -> None:
        """Files of passwords, other flags, columns, placeholders and prose."""
        for document in _NONE:
            for spacing in (None, 2):
                text = json.dumps(document, indent=spacing)

                self.assertEqual(known_secrets().redacted_json(text), (text, 0))

    def test_each_secret_is_counted_once(self) -> None:
        told: list[tuple[str, int]] = []
        secrets = Secrets(counted=lambda kind, count: told.append((kind, count)))

        secrets.redacted_json(
            json.dumps([{"name": "DB_PASSWORD", "value": "geheim"}, "--token", X(24)])
        )

        self.assertEqual(sorted(told), [("password", 1), ("token", 1)])

    def test_a_configured_pattern_is_looked_for_in_each_string(self) -> None:
        """It may say where a text begins and ends."""
        for more in ("", r"\Q.."):
            extra = [ExtraPattern(label="badge", pattern="^B-[0-9]+$")]
            if more:
                extra.append(ExtraPattern(label="dots", pattern=more))

            shown, count = Secrets(extra).redacted_json('["B-17", "a B-17", {"B-18": 1}]')

            self.assertEqual(shown, '["[redacted:badge]", "a B-17", {"[redacted:badge]": 1}]')
            self.assertEqual(count, 2)


class BoundTests(BridgeTestCase):
    def test_a_document_of_too_many_strings_is_replaced_and_stays_json(self) -> None:
        """More of it goes than would have to, never less."""
        for hidden in ("\\u0067hp_" + X(36), "ghp_" + X(36)):
            text = "[" + '"a",' * MOST_STRINGS + f'"{hidden}"]'

            shown, count = known_secrets().redacted_json(text)

            self.assertEqual((json.loads(shown), count), ("[redacted:too-many-secrets]", 1))

    def test_a_document_of_too_many_strings_without_a_secret_stays(self) -> None:
        text = "[" + '"a",' * MOST_STRINGS + '"b"]'

        self.assertEqual(known_secrets().redacted_json(text), (text, 0))

    def test_a_string_of_too_much_goes_alone(self) -> None:
        """The name of the file that a tool was to write is kept."""
        text = json.dumps({"path": "a.env", "content": "token=aaaa " * (MOST_AT_ONCE + 1)})

        shown, count = known_secrets().redacted_json(text, (), Work(MOST_AT_ONCE))

        self.assertEqual(
            json.loads(shown), {"path": "a.env", "content": "[redacted:too-many-secrets]"}
        )
        self.assertEqual(count, 1)

    def test_what_is_judged_is_bounded_wherever_it_stands(self) -> None:
        """In strings, members, behind flags, under other names: all of it is counted."""
        for document in (
            ["password=hunter2x"] * MOST_AT_ONCE,
            {f"{n}password": "hunter2x" for n in range(MOST_AT_ONCE)},
            ["--token", "aaaa"] * MOST_AT_ONCE,
            [{"name": "DB_PASSWORD", "value": "x"}] * MOST_AT_ONCE,
            [{"Authorization": "Basic abcdefgh"}] * MOST_AT_ONCE,
            [["curl", "-u", "user:hunter2"]] * MOST_AT_ONCE,
            ["a", {}, []] * 10 * MOST_AT_ONCE + ["password=hunter2x"],
        ):
            text = json.dumps(document)

            shown, _ = known_secrets().redacted_json(text, (), Work(MOST_AT_ONCE))

            self.assertEqual(json.loads(shown), "[redacted:too-many-secrets]")
            with self.assertRaises(Laborious):
                known_secrets().redacted_json(text, (), Work(MOST_AT_ONCE, gives_up=True))

    def test_what_gives_up_counts_nothing(self) -> None:
        """Whoever does it in its stead counts."""
        told: list[tuple[str, int]] = []
        secrets = Secrets(counted=lambda kind, count: told.append((kind, count)))

        with self.assertRaises(Laborious):
            secrets.redacted("token=aaaa " * 3_000, (), Work(MOST_AT_ONCE, gives_up=True))

        self.assertEqual(told, [])
