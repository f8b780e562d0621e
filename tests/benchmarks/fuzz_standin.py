"""Feed the stand-in with requests drawn from Recall.ai's published description, and check its answers.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install schemathesis
    python tests/benchmarks/fuzz_standin.py --schema openapi.json --runner /tmp/fuzz/bin/schemathesis

The description is Recall.ai's OpenAPI file, from its documentation. Schemathesis has a place of its own,
because it wants other versions of the tests' libraries. It sends right and wrong requests, and holds: no
answer 5xx, and no broken connection; a good answer has the published shape; what the description allows is
accepted; what it forbids (a wrong type, a missing field, a method, no key) is refused. The description lists
good answers only, so that 400, 401, 404 and 405 count as right refusals; what it marks as read-only, and what
is not JSON, is not sent. Settings of transcribers are their own, and count as any object. Alternatives
overlap in the description, which asks for exactly one: of what is answered, one or more may hold.
Target: nothing found, exit code 0.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from recall_audio.results.sample import sample_folder
from recall_audio.standin import ServedMeeting, StandIn, StandInOptions, State, meeting

KEY = "fuzzed-key"
CHECKS = (
    "not_a_server_error", "response_schema_conformance", "content_type_conformance",
    "negative_data_rejection", "positive_data_acceptance", "missing_required_header", "unsupported_method",
    "ignored_auth",
)  # fmt: skip
STATES = (
    State(transcript="done"),
    State(mixed="failed", separate="deleted", sub_code="why", shortcuts=False),
    State(separate="processing", mixed="missing", events="missing"),
)


def served() -> list[ServedMeeting]:
    """The sample meeting with everything there, and with artifacts that failed or are being made."""
    sample = meeting(sample_folder())
    content = sample.content | {"title": "Budget", "bot_metadata": {"team": "sales"}}
    return [
        ServedMeeting(
            sample.folder,
            content | {"recording_id": f"{n}{sample.recording_id[1:]}"},
            state,
            f"{n}{sample.bot_id[1:]}",
        )
        for n, state in enumerate(STATES)
    ]


def writable(schema: Any) -> Any:
    """A schema without the properties and alternatives that are read-only."""
    if isinstance(schema, list):
        return [writable(one) for one in schema if not (isinstance(one, dict) and one.get("readOnly"))]
    if not isinstance(schema, dict):
        return schema
    found = {k: writable(v) for k, v in schema.items()}
    if isinstance(properties := found.get("properties"), dict):
        found["properties"] = {
            k: v for k, v in properties.items() if not (isinstance(v, dict) and v.get("readOnly"))
        }
        found["required"] = [name for name in found.get("required", []) if name in found["properties"]]
        if not found["required"]:
            del found["required"]
    return found


def with_open_providers(schema: Any) -> Any:
    """A schema in which the settings of a transcriber are any object."""
    if isinstance(schema, list):
        return [with_open_providers(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.keys() >= {"type", "properties"} and any(
        k.endswith("_streaming") for k in schema["properties"]
    ):
        return schema | {"properties": {name: {"type": "object"} for name in schema["properties"]}}
    return {k: with_open_providers(v) for k, v in schema.items()}


def renamed(schema: Any) -> Any:
    """A schema that refers to those for what is sent."""
    if isinstance(schema, list):
        return [renamed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "mapping" in schema and "propertyName" in schema:
        return schema | {"mapping": {value: f"{name}Sent" for value, name in schema["mapping"].items()}}
    return {k: f"{v}Sent" if k == "$ref" else renamed(v) for k, v in schema.items()}


def loosened(schema: Any) -> Any:
    """A schema in which alternatives that a field tells apart may overlap, as they do in the description."""
    if isinstance(schema, list):
        return [loosened(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {k: loosened(v) for k, v in schema.items()}
    if "discriminator" in changed and "oneOf" in changed:
        changed["anyOf"] = changed.pop("oneOf")
        del changed["discriminator"]
    return changed


def for_requests(description: dict[str, Any]) -> dict[str, Any]:
    """The description with schemas of their own for what is sent."""
    changed = with_open_providers(copy.deepcopy(description))
    schemas = changed["components"]["schemas"]
    sent = {f"{name}Sent": renamed(writable(schema)) for name, schema in schemas.items()}
    changed["components"]["schemas"] = loosened(schemas) | sent
    for operations in changed["paths"].values():
        for operation in operations.values():
            contents = operation.get("requestBody", {}).get("content", {})
            for kind in [kind for kind in contents if kind != "application/json"]:
                del contents[kind]
            for content in contents.values():
                content["schema"] = renamed(content["schema"])
    return changed


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    arguments.add_argument("--schema", type=Path, required=True, help="Recall.ai's OpenAPI description")
    arguments.add_argument("--runner", default="schemathesis", help="the program schemathesis")
    arguments.add_argument("--seconds", type=int, default=60, help="how long to go on")
    arguments.add_argument("--seed", type=int, default=1)
    chosen = arguments.parse_args()
    description = for_requests(json.loads(chosen.schema.read_text("utf-8")))
    options = StandInOptions(key=KEY, page_size=2)
    with StandIn(served(), options=options) as server, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "description.json").write_text(json.dumps(description))
        command = [
            chosen.runner, "run", "description.json", "--url", server.origin, "--seed", str(chosen.seed),
            "--header", f"Authorization: Token {KEY}", "--checks", ",".join(CHECKS), "--no-color",
            "--max-time", str(chosen.seconds), "--continue-on-failure",
        ]  # fmt: skip
        code = subprocess.run(command, cwd=folder, check=False).returncode
        calls = Counter((r.method, *[p for p in r.path.split("/") if p][2:3]) for r in server.requests)
    shown = ", ".join(f"{' '.join(call)} {n}" for call, n in calls.most_common(8))
    print(f"{sum(calls.values())} requests: {shown}")
    print("target: nothing found;", "reached" if code == 0 else "NOT reached")
    sys.exit(code)


if __name__ == "__main__":
    main()
