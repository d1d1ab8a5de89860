"""The description of the management API, and what a fuzzer finds that reads it."""

from __future__ import annotations

import os
import random
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from bridge.config.providers import RESERVED_NAMES
from tests.store.test_management_sessions import API, MINUTE, START, SessionsCase

EXAMPLES = 15
"""Cases for each endpoint, in each phase."""
HOSTILE = ("<script>alert(1)</script>", "'; DROP TABLE users; --", "\x1b]0;title\x07", "a/../b")


def _takes_nothing(schema: Any) -> bool:
    """Return whether an empty text fits a schema, as far as ours go."""
    for name in ("anyOf", "oneOf"):
        if name in schema:
            return any(_takes_nothing(each) for each in schema[name])
    if "const" in schema or "enum" in schema:
        return "" in schema.get("enum", [schema.get("const")])
    return schema["type"] == "string" and not {"format", "minLength", "pattern"} & {*schema}


class DescriptionTests(SessionsCase):
    async def test_every_endpoint_is_described_as_it_is_declared(self) -> None:
        status, found = await self.get(f"{API}/openapi.json")

        self.assertEqual((status, found["openapi"]), (200, "3.1.0"))
        declared = {(each.path, each.method.lower()) for each in self.management.endpoints}
        described = {
            (path, method) for path, methods in found["paths"].items() for method in methods
        }
        self.assertEqual(described, declared)
        for each in self.management.endpoints:
            operation = found["paths"][each.path][each.method.lower()]
            self.assertEqual(operation["operationId"], each.name)
            self.assertEqual(
                [one["name"] for one in operation["parameters"]],
                [one.name for one in each.parameters],
            )
            self.assertIn("400", operation["responses"])
            self.assertEqual("413" in operation["responses"], each.takes is not None)
            segment = each.path.split("/")[1]
            self.assertTrue(segment in RESERVED_NAMES or "." in segment, segment)

    async def test_every_parameter_of_a_query_may_be_empty_and_is_described_so(self) -> None:
        _, found = await self.get(f"{API}/openapi.json")
        asked = 0
        for path, methods in found["paths"].items():
            parameters = methods.get("get", {}).get("parameters", ())
            if any(each["in"] == "path" for each in parameters):
                continue
            for each in parameters:
                if each["required"]:
                    self.assertEqual((path, each["name"]), ("/search", "q"))
                    self.assertEqual((await self.get(f"{API}{path}"))[0], 400)
                    continue  # nothing is nothing to look for
                needed = "q=word&" if path == "/search" else ""
                target = f"{API}{path}?{needed}{each['name']}="
                self.assertEqual((await self.get(target))[0], 200, target)
                self.assertTrue(_takes_nothing(each["schema"]), (path, each))
                asked += 1
        self.assertGreater(asked, 30)

    async def test_both_prefixes_serve_the_same(self) -> None:
        _, one = await self.get(f"{API}/openapi.json")
        _, other = await self.get("/api/v2/ai-gateway/openapi.json")

        self.assertEqual(one, other)
        self.assertEqual([each["url"] for each in one["servers"]], [API, "/api/v2/ai-gateway"])

    async def test_types_are_those_of_what_is_answered(self) -> None:
        _, found = await self.get(f"{API}/openapi.json")
        schemas: Any = found["components"]["schemas"]

        self.assertIn("threads", schemas["SessionDetail"]["required"])
        self.assertEqual(
            schemas["Thread"]["properties"]["id"], {"type": "string", "format": "uuid"}
        )

    async def test_it_is_for_tokens_of_scope_manage(self) -> None:
        self.assertEqual((await self.get(f"{API}/openapi.json", "aib_agent"))[0], 403)
        self.assertEqual((await self.get(f"{API}/openapi.json", None))[0], 401)


class FuzzTests(SessionsCase):
    timeout = 600

    async def test_no_request_that_the_description_allows_or_forbids_is_answered_against_it(
        self,
    ) -> None:
        await self.fuzz("aib_auditor")

    async def test_nor_is_one_of_an_owner_who_may_change_users_and_tokens(self) -> None:
        await self.fuzz("aib_owner", "--include-path-regex=^/(users|tokens)")

    async def fuzz(self, token: str, *more: str) -> None:
        for number, text in enumerate(HOSTILE):
            await self.session(text, START + number * MINUTE, model=text, client=text, prompt=text)
        seed = int(os.environ.get("AIBRIDGE_TEST_SEED", "0")) or random.randrange(1, 2**31)
        origin = f"http://127.0.0.1:{self.port.getHost().port}"

        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            [
                "-m", "schemathesis.cli", "run", f"{origin}{API}/openapi.json",
                f"--url={origin}{API}", f"--header=X-AI-Bridge-Token: {token}_{'x' * 12}",
                f"--seed={seed}", f"--max-examples={EXAMPLES}", "--no-color", "--workers=1",
                "--request-timeout=60",
                "--phases=examples,coverage,fuzzing", "--generation-database=none",
                # What a text parameter may hold is told in words, not by the schema alone; and of
                # three headers that may hold a token it always sends one that is good.
                "--exclude-checks=positive_data_acceptance,ignored_auth", "--warnings=off",
                *more,
            ],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            reactor=reactor,
        )  # fmt: skip

        print(f"schemathesis: seed {seed}")
        self.assertEqual(code, 0, f"seed {seed}\n{out.decode()}\n{err.decode()}")
