"""A Messages request becomes one that Bedrock takes, and what is not touched keeps its bytes."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.messages.bedrock import BedrockRules, bedrock_model, invoke_body
from bridge.domain.errors import BadRequest
from tests.support.cases import BridgeTestCase

OPUS_4_5 = "anthropic.claude-opus-4-5-20250514-v1:0"
SONNET_4_5 = "anthropic.claude-sonnet-4-5-20241022-v2:0"
OPUS_4_6 = "anthropic.claude-opus-4-6-20260619-v1:0"
INTERLEAVED = "interleaved-thinking-2025-05-14"
EFFORT = "effort-2025-11-24"
CONTEXT = "context-management-2025-06-27"
BETAS = f"{INTERLEAVED},{EFFORT},{CONTEXT},prompt-caching-scope-2026-01-05".encode()
REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 32000,
    "stream": True,
    "thinking": {"type": "adaptive"},
    "metadata": {"user_id": "somebody"},
    "output_config": {"effort": "medium"},
    "service_tier": "auto",
    "context_management": {"edits": []},
    "container": "c",
    "messages": [{"role": "user", "content": "Hello"}],
    "inference_geo": "us",
}


def invoked(request: dict[str, Any], model: str = "beddel", **options: Any) -> dict[str, Any]:
    body = invoke_body(json.dumps(request).encode(), model=model, **options)
    read = json.loads(body)
    assert isinstance(read, dict)
    return read


def thinking_of(max_tokens: object, effort: object = None) -> object:
    request: dict[str, Any] = {"max_tokens": max_tokens, "thinking": {"type": "adaptive"}}
    if effort is not None:
        request["output_config"] = {"effort": effort}
    return invoked(request)["thinking"]


class TableTests(BridgeTestCase):
    """The same request, as four models take it."""

    def check(
        self, model: str, *, thinking: dict[str, Any], kept: tuple[str, ...], betas: list[str]
    ) -> None:
        expected = {
            "max_tokens": 32000,
            "thinking": thinking,
            **{name: REQUEST[name] for name in kept},
            "messages": REQUEST["messages"],
            "anthropic_beta": betas,
            "anthropic_version": "bedrock-2023-05-31",
        }
        found = invoked(REQUEST, model, header_betas=[BETAS])

        self.assertEqual(found, expected)
        self.assertEqual([*found], [*expected])

    def test_a_model_that_is_not_known(self) -> None:
        self.check(
            "beddel",
            thinking={"type": "enabled", "budget_tokens": 16000},
            kept=(),
            betas=[INTERLEAVED],
        )

    def test_opus_4_5(self) -> None:
        self.check(
            OPUS_4_5,
            thinking={"type": "enabled", "budget_tokens": 16000},
            kept=("output_config",),
            betas=[INTERLEAVED, EFFORT],
        )

    def test_sonnet_4_5(self) -> None:
        self.check(
            SONNET_4_5,
            thinking={"type": "enabled", "budget_tokens": 16000},
            kept=("context_management",),
            betas=[INTERLEAVED, CONTEXT],
        )

    def test_opus_4_6(self) -> None:
        self.check(OPUS_4_6, thinking={"type": "adaptive"}, kept=(), betas=[INTERLEAVED])

    def test_opus_4_8_knows_no_other_thinking_and_takes_its_effort(self) -> None:
        self.check(
            "us.anthropic.claude-opus-4-8",
            thinking={"type": "adaptive"},
            kept=("output_config",),
            betas=[INTERLEAVED],
        )


class ThinkingTests(BridgeTestCase):
    def test_the_budget_is_a_part_of_what_may_be_said(self) -> None:
        for most, effort, budget in (
            (10000, None, 8000),
            (10000, "high", 8000),
            (10000, "unheard of", 8000),
            (10000, ["low"], 8000),
            (10000, "low", 2000),
            (10000, "max", 9500),
            (32000, "medium", 16000),
            (1280, None, 1024),
            (1281.9, None, 1024),
        ):
            self.assertEqual(
                thinking_of(most, effort), {"type": "enabled", "budget_tokens": budget}
            )

    def test_too_little_is_none(self) -> None:
        for most in (512, 1000, 1279):
            self.assertEqual(thinking_of(most), {"type": "disabled"})

    def test_what_aws_must_refuse_stays_and_the_rest_is_done(self) -> None:
        for most in (None, 0, -5, "many", True, 1e300):
            request = {**REQUEST, "max_tokens": most}
            if most is None:
                del request["max_tokens"]
            found = invoked(request, header_betas=[BETAS])

            self.assertEqual(found["thinking"], {"type": "adaptive"})
            self.assertEqual(found["anthropic_beta"], [INTERLEAVED])
            self.assertNotIn("metadata", found)

    def test_other_thinking_is_left_alone(self) -> None:
        for thinking in ({"type": "enabled", "budget_tokens": 5}, {"type": "disabled"}, None, "x"):
            found = invoked({"max_tokens": 9000, "thinking": thinking})

            self.assertEqual(found["thinking"], thinking)


class BetaTests(BridgeTestCase):
    def test_several_headers_are_one_list(self) -> None:
        found = invoked({}, header_betas=[b" context-1m-2025-08-07 ,new", BETAS, BETAS])

        self.assertEqual(found["anthropic_beta"], ["context-1m-2025-08-07", INTERLEAVED])

    def test_nothing_known_is_nothing_sent(self) -> None:
        self.assertNotIn("anthropic_beta", invoked({}, header_betas=[b"new-2027-01-01", b""]))

    def test_what_stands_in_the_body_was_written_for_bedrock(self) -> None:
        request = {"anthropic_beta": ["new-2027", EFFORT], "output_config": {"effort": "low"}}

        alone = invoked(request)
        together = invoked(request, header_betas=[BETAS])

        self.assertEqual(alone["anthropic_beta"], ["new-2027", EFFORT])
        self.assertEqual(alone["output_config"], {"effort": "low"})
        self.assertEqual(together["anthropic_beta"], ["new-2027", EFFORT, INTERLEAVED])

    def test_an_odd_one_in_the_body_is_awss_to_refuse(self) -> None:
        self.assertEqual(invoked({"anthropic_beta": "x"})["anthropic_beta"], "x")

    def test_gates_are_data(self) -> None:
        rules = BedrockRules(
            adaptive=("x9",), betas={"new": ("x9",)}, removed=("odd",), bound={"a": "new"}, free={}
        )
        request = {"thinking": {"type": "adaptive"}, "max_tokens": 9000, "odd": 1, "a": 2}

        taken = invoked(request, "x9-large", header_betas=[b"new"], rules=rules)
        refused = invoked(request, OPUS_4_6, header_betas=[b"new"], rules=rules)

        self.assertEqual((taken["a"], taken["thinking"]), (2, {"type": "adaptive"}))
        self.assertEqual(taken["anthropic_beta"], ["new"])
        self.assertEqual([*refused], ["thinking", "max_tokens", "anthropic_version"])


class ByteTests(BridgeTestCase):
    def test_what_stays_keeps_its_bytes_and_its_place(self) -> None:
        body = (
            b'\n{ "z" : 1e400,\t"model":"claude","system":"\\u00e9\\ud83d",  "big" : '
            b'123456789012345678901234567890,"stream" : true , "a":[1 ,2 ] }\n'
        )

        self.assertEqual(
            invoke_body(body, model="m"),
            b'\n{ "z" : 1e400,"system":"\\u00e9\\ud83d",  "big" : '
            b'123456789012345678901234567890 , "a":[1 ,2 ],"anthropic_version":"bedrock-2023-05-31"'
            b" }\n",
        )

    def test_a_request_that_bedrock_would_take_is_not_touched(self) -> None:
        body = b'{"anthropic_version": "bedrock-2024-01-01", "max_tokens": 5, "messages": []}'

        self.assertEqual(invoke_body(body, model=OPUS_4_6, header_betas=[b"new"]), body)

    def test_members_given_twice_or_spelled_oddly_go_too(self) -> None:
        body = b'{"model":"a","\\u006dodel":"b","x":1,"model":"c","stream":false}'

        self.assertEqual(
            invoke_body(body, model="m"), b'{"x":1,"anthropic_version":"bedrock-2023-05-31"}'
        )

    def test_members_further_in_stay(self) -> None:
        body = b'{"x":{"model":"a","stream":true},"anthropic_version":"v"}'

        self.assertEqual(invoke_body(body, model="m"), body)

    def test_an_empty_object_gets_its_version(self) -> None:
        self.assertEqual(
            invoke_body(b"{ }", model="m"), b'{"anthropic_version":"bedrock-2023-05-31" }'
        )

    def test_what_is_no_object_is_refused(self) -> None:
        for body in (b"", b"[]", b'{"a":1', b"{" + b'"":0,' * 20_000 + b'"a":1}'):
            with self.assertRaises(BadRequest):
                invoke_body(body, model="m")

    @given(
        st.dictionaries(
            st.sampled_from([*REQUEST, "anthropic_version", "anthropic_beta", "x", "y"]),
            st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=3)),
        ),
        st.sampled_from([OPUS_4_5, SONNET_4_5, OPUS_4_6, "m"]),
        st.sampled_from([None, 2]),
    )
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_any_request_stays_json_and_keeps_what_is_not_ours(
        self, request: dict[str, Any], model: str, indent: int | None
    ) -> None:
        body = json.dumps(request, indent=indent).encode()

        found = json.loads(invoke_body(body, model=model, header_betas=[BETAS]))

        for name in ("x", "y", "messages", "max_tokens"):
            self.assertEqual(found.get(name), request.get(name))
        for name in ("model", "stream", "metadata", "service_tier"):
            self.assertNotIn(name, found)
        self.assertIsNotNone(found["anthropic_version"])


class ModelTests(BridgeTestCase):
    def test_a_haiku_is_small_and_fast(self) -> None:
        def chosen(requested: str, model: str = "big", small: str = "small") -> str:
            return bedrock_model(requested, model=model, small_fast_model=small)

        self.assertEqual(chosen("claude-haiku-4-5"), "small")
        self.assertEqual(chosen("claude-sonnet-4-6"), "big")
        self.assertEqual(chosen("claude-haiku-4-5", small=""), "big")
        self.assertEqual(chosen("us.anthropic.claude-opus-4-8", model="", small=""),
                         "us.anthropic.claude-opus-4-8")  # fmt: skip
