"""What tests of the pages share: one bridge for all tests of a module's run."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.pages.browserless import Browserless
from tests.pages.serving import Served


class PagesTestCase(TestCase):
    """Needs the real bridge and its database; the reactor is only for putting records there."""

    timeout = 180
    served: Served | None = None

    async def setUp(self) -> None:
        if PagesTestCase.served is None:
            PagesTestCase.served = served = Served()
            # Ends with the run: starting a bridge for every test would take minutes.
            _at_the_end(served)
            await served.seed()
            for token in served.tokens.values():
                served.until_known(token)

    @property
    def here(self) -> Served:
        """The bridge."""
        assert PagesTestCase.served is not None
        return PagesTestCase.served

    def visitor(self, name: str | None = None) -> Browserless:
        """Return somebody who is signed in as `name`, or nobody."""
        visitor = Browserless(self.here.bridge)
        if name is not None:
            answer = visitor.sign_in(self.here.tokens[name])
            self.assertEqual(answer.status, 303, answer.text)
        return visitor


def _at_the_end(served: Served) -> None:
    reactor.addSystemEventTrigger("after", "shutdown", served.close)  # type: ignore[attr-defined]
