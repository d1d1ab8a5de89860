"""The description of the management API: OpenAPI 3.1, made of the endpoints' declarations.

Source: OpenAPI Specification 3.1.1 (spec.openapis.org/oas/v3.1.1, read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bridge.web.endpoints import Endpoint, Parameter
from bridge.web.router import Problem

_SCHEMAS = "#/components/schemas/{name}"
_ERRORS: Mapping[int, str] = {
    400: "The query or the body cannot be read; `validations` names what is wrong.",
    401: "No token of the bridge, or none that is still good.",
    403: "The token is not for management, or its user has none of the roles that may ask.",
    409: "Several users have what was asked for; `validations` names the parameter that decides.",
    431: "The query is too long for a request's head (limits.header_bytes).",
    503: "Not now: the database or the journal cannot be used, or the bridge is stopping.",
}
_TOO_LARGE = "The body is larger than such a body may be."
_NEVER_EMPTY = frozenset({"enum", "format", "minimum"})
"""What a schema says that an empty text does not fit."""
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "own_header": {"type": "apiKey", "in": "header", "name": "X-AI-Bridge-Token"},
}
_ABOUT = (
    "What AI Bridge has recorded, and who may use it, for tokens of scope manage. Members see "
    "their own records and tokens, auditors everybody's, and what they read of others' records is "
    "in the audit log; owners manage users and tokens. Times are RFC 3339 in UTC. Unknown "
    "parameters and members are refused."
)


def description(endpoints: Sequence[Endpoint], prefixes: Sequence[bytes]) -> dict[str, object]:
    """Return the OpenAPI document of `endpoints`, which are served under all of `prefixes`."""
    types: list[object] = [Problem]
    for each in endpoints:
        types += [each.returns] if each.takes is None else [each.returns, each.takes]
    schemas, components = msgspec.json.schema_components(
        types, schema_hook=_any, ref_template=_SCHEMAS
    )
    found = iter(schemas)
    problem = next(found)
    paths: dict[str, dict[str, object]] = {}
    for each in endpoints:
        returns = next(found)
        takes = next(found) if each.takes is not None else None
        operation = _operation(each, returns, takes, problem)
        paths.setdefault(each.path, {})[each.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "AI Bridge", "version": "2", "description": _ABOUT},
        "servers": [{"url": prefix.decode("ascii")} for prefix in prefixes],
        "security": [{name: []} for name in _SECURITY],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
    }


def _operation(
    endpoint: Endpoint,
    returns: Mapping[str, object],
    takes: Mapping[str, object] | None,
    problem: Mapping[str, object],
) -> dict[str, object]:
    errors = dict(_ERRORS)
    if not any(each.decides for each in endpoint.parameters):
        del errors[409]
    if takes is not None:
        errors[413] = _TOO_LARGE
    if endpoint.not_found:
        errors[404] = endpoint.not_found
    if endpoint.conflict:
        errors[409] = endpoint.conflict
    responses: dict[str, object] = {
        str(endpoint.status): {
            "description": endpoint.summary,
            "content": {media: {"schema": returns} for media in endpoint.media},
        }
    }
    for status, meaning in sorted(errors.items()):
        responses[str(status)] = {
            "description": meaning,
            "content": {"application/json": {"schema": problem}},
        }
    operation: dict[str, object] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [_parameter(each) for each in endpoint.parameters],
        "responses": responses,
    }
    if takes is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": takes}},
        }
    if endpoint.roles:
        names = " or ".join(sorted(role.value for role in endpoint.roles))
        operation["description"] = f"For users with the role {names}."
    return operation


def _any(kind: type) -> dict[str, object]:
    """Return the schema of what msgspec has none for: any value for `object`."""
    if kind is object:
        return {"description": "Any value."}
    raise NotImplementedError


def _parameter(parameter: Parameter) -> dict[str, object]:
    schema = dict(parameter.schema)
    if parameter.where == "query" and not _NEVER_EMPTY.isdisjoint(schema):
        schema = {"anyOf": [schema, {"const": ""}]}  # nothing is as if it had not been given
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.required or parameter.where == "path",
        "schema": schema,
    }
