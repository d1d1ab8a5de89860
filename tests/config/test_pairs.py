"""Settings that are fine alone and cannot work together."""

from __future__ import annotations

from tests.config.support import ConfigCase


class EndpointTests(ConfigCase):
    def test_one_port_for_clients_and_operations_is_refused(self) -> None:
        """Only one of them could have it."""
        problems = self.problems("operations_listen: tcp:4001:interface=127.0.0.1")

        self.assert_problem("operations_listen: tcp:4001:interface=127.0.0.1 is also", problems)

    def test_all_addresses_include_this_one(self) -> None:
        """tcp:4001 takes the port from 127.0.0.1 as well."""
        problems = self.problems("operations_listen: tcp:4001")

        self.assert_problem("operations_listen: tcp:4001 is also", problems)

    def test_one_port_on_two_addresses_is_fine(self) -> None:
        """127.0.0.1 is not 127.0.0.2."""
        self.load("operations_listen: tcp:4001:interface=127.0.0.2")

    def test_an_endpoint_twice_is_refused(self) -> None:
        """A copied line is noticed."""
        problems = self.problems(
            "listen: ['tcp:5000:interface=127.0.0.1', 'tcp:5000:interface=127.0.0.1']"
        )

        self.assert_problem("listen: tcp:5000:interface=127.0.0.1 is listened on twice", problems)

    def test_port_zero_twice_is_fine(self) -> None:
        """The system picks two."""
        self.load(
            "{listen: 'tcp:0:interface=127.0.0.1', operations_listen: 'tcp:0:interface=127.0.0.1'}"
        )

    def test_no_endpoint_is_refused(self) -> None:
        """A gateway is reached somewhere."""
        self.assert_problem("listen: needs at least one", self.problems("listen: []"))

    def test_no_operations_are_fine(self) -> None:
        """ "" turns them off."""
        self.load('operations_listen: ""')


class SizeTests(ConfigCase):
    def test_a_body_larger_than_all_bodies_is_refused(self) -> None:
        """It could never be read."""
        problems = self.problems("limits: {max_body: 1GiB}")

        self.assert_problem("limits.max_body: must be at most limits.body_memory, 512MiB", problems)

    def test_less_memory_than_a_body_is_refused_where_it_was_set(self) -> None:
        """The place is the one that somebody wrote."""
        problems = self.problems("limits: {body_memory: 1MiB}")

        self.assertTrue(problems[0].endswith("(bridge.yaml:1)"))

    def test_segments_larger_than_half_the_journal_are_refused(self) -> None:
        """Nothing could be given up."""
        problems = self.problems("journal: {max_bytes: 20MiB}")

        self.assert_problem("journal.segment_bytes: must be at most half", problems)

    def test_fewer_connections_than_an_address_may_have_is_fine(self) -> None:
        """Lowering the total is enough."""
        self.load("limits: {connections: 100}")

    def test_more_connections_of_an_address_than_in_all_is_refused(self) -> None:
        """If somebody says so."""
        problems = self.problems("limits: {connections: 100, connections_per_address: 200}")

        self.assert_problem("limits.connections_per_address: must be at most", problems)


class TokenTests(ConfigCase):
    def test_a_default_beyond_the_longest_lifetime_is_refused(self) -> None:
        """If somebody set it."""
        problems = self.problems("tokens: {default_lifetime: 30d, max_lifetime: 7d}")

        self.assert_problem(
            "tokens.default_lifetime: must be at most tokens.max_lifetime, 7d", problems
        )

    def test_a_short_longest_lifetime_alone_is_fine(self) -> None:
        """It cuts the default."""
        self.load("tokens: {max_lifetime: 7d}")


class ActorHeaderTests(ConfigCase):
    def test_a_name_that_is_none_is_refused(self) -> None:
        """A header's name has no spaces."""
        self.assert_problem(
            "aibridge.actor_header_id: is not a header's name",
            self.problems("aibridge: {actor_header_id: 'X User'}"),
        )

    def test_a_name_with_a_meaning_is_refused(self) -> None:
        """In any case of letters."""
        self.assert_problem(
            "aibridge.actor_header_id: authorization is a header with a meaning",
            self.problems("aibridge: {actor_header_id: authorization}"),
        )

    def test_two_headers_of_one_name_are_refused(self) -> None:
        """In any case of letters."""
        self.assert_problem(
            "aibridge.actor_header_username: must differ",
            self.problems("aibridge: {actor_header_id: X-A, actor_header_username: x-a}"),
        )

    def test_none_at_all_is_fine(self) -> None:
        """ "" leaves each out."""
        self.load("aibridge: {actor_header_id: '', actor_header_username: ''}")


class FileTests(ConfigCase):
    def test_one_file_for_both_logs_is_refused(self) -> None:
        """Lines would run into each other."""
        self.assert_problem(
            "log_json: must be another file", self.problems("{log_human: a.log, log_json: a.log}")
        )

    def test_both_logs_on_the_terminal_are_fine(self) -> None:
        """As containers do it."""
        self.load("{log_human: /dev/stderr, log_json: /dev/stderr}")

    def test_a_data_directory_that_is_a_file_is_refused(self) -> None:
        """Before anything is written."""
        path = self.directory / "file"
        path.touch()

        self.assert_problem(
            f"data_dir: {path.name} is there, but is not a directory",
            self.problems(f"data_dir: {path}"),
        )

    def test_a_tilde_is_refused(self) -> None:
        """It would become a directory of that name."""
        self.assert_problem("data_dir: must be written out", self.problems("data_dir: ~/bridge"))
