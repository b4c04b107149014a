"""Schemathesis (PyPI, MIT, a fuzzer for OpenAPI that we did not write), an operation at a time.

`schema.parametrize()` makes the cases of each operation while tests are collected: seconds, in each worker anew. Here a
test is parametrised with the names of the operations alone, and its cases are made when it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import settings

from tests.compliance.opcp_schemas import load_schema

METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


def operations(*files: str) -> pytest.MarkDecorator:
    """Parametrises `file`, `method` and `path` with every operation of the files."""
    rows = [
        pytest.param(file, method, path, id=f"{file} {method.upper()} {path}")
        for file in files
        for path, item in load_schema(file)["paths"].items()
        for method in METHODS
        if method in item
    ]
    return pytest.mark.parametrize(("file", "method", "path"), rows)


@cache
def _schema(file: str) -> Any:
    import schemathesis

    return schemathesis.openapi.from_dict(load_schema(file))


def run_cases(file: str, method: str, path: str, limits: settings, check: Callable[[Any], None]) -> None:
    """Call check with every case of one operation: its examples, the edges of its schema, and fuzzed ones."""
    from schemathesis.checks import load_all_checks
    from schemathesis.generation.feedback import FeedbackSources
    from schemathesis.pytest._test_builder import build_operation_test
    from schemathesis.python._constants.orchestrator import make_constants_value_source

    load_all_checks()
    schema = _schema(file)

    def one(case: Any) -> None:
        check(case)

    build_operation_test(
        config=schema.config,
        operation=schema[path][method],
        test_func=one,
        explicit_settings=limits,
        given_kwargs={},
        feedback=FeedbackSources(constants_value_source=make_constants_value_source(schema)),
    )()
