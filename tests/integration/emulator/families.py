"""Operation files in their form of today, for the emulator to serve."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

PATH = "/services/aigc/new/generation"
KEY = {"Authorization": "Bearer sk-test"}
ASYNC = {"X-DashScope-Async": "enable"}


def operation(
    artifacts: Sequence[Mapping[str, Any]],
    *,
    models: Sequence[str] = ("new-1",),
    protocol: str = "sync",
    parameters: Mapping[str, Any] | None = None,
    endpoint: Mapping[str, Any] | None = None,
    **rules: Any,
) -> str:
    """The text of a file; `parameters` are the schemas of its parameters."""
    headers = ASYNC if protocol == "task" else {}
    return json.dumps(
        {
            "type": "object",
            "required": ["model", "input"],
            "properties": {
                "model": {"enum": list(models)},
                "input": {"type": "object", "properties": {"prompt": {"type": "string"}}},
                "parameters": {
                    "type": "object",
                    "properties": dict(parameters or {}),
                    "additionalProperties": False,
                },
            },
            "x-dsrun": {
                "protocol": protocol,
                "endpoint": {"path": PATH, "headers": headers} | dict(endpoint or {}),
                "artifacts": list(artifacts),
            }
            | rules,
        }
    )


async def post(remote, words=None, *, model="new-1", path=PATH, headers=None, **parameters):
    """A request of one of these files; the reply."""
    body = {"model": model, "input": {"prompt": "a boat"} if words is None else words}
    if parameters:
        body["parameters"] = parameters
    return await remote.call("POST", path, json=body, headers=KEY | dict(headers or {}))


async def run_task(remote, clock, words=None, **options):
    """The answer of a task that has had time to end."""
    created = await post(remote, words, headers=ASYNC, **options)
    assert created.status == 200, created.json
    clock.advance(60)
    return (await remote.query(created.json["output"]["task_id"])).json
