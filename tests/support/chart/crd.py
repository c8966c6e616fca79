#!/usr/bin/env python3
"""Makes a JSON Schema of a CustomResourceDefinition, as small and as strict as it can be.

    crd.py CRD.yaml >SCHEMA.json

Descriptions are left out, and fields that are not declared are forbidden, where the API server would
drop them silently. tests/deploy/schemas says where its schemas come from.
"""

import json
import sys

import yaml

# What a schema of a CRD has and a JSON Schema does not.
FOREIGN = {"description", "format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
           "x-kubernetes-map-type", "x-kubernetes-validations", "example"}


def strict(schema):
    """The schema without descriptions, closed to fields that are not declared."""
    plain = {key: value for key, value in schema.items() if key not in FOREIGN}
    is_open = plain.pop("x-kubernetes-preserve-unknown-fields", False)
    if plain.pop("x-kubernetes-int-or-string", False):
        plain.pop("anyOf", None)
        plain["type"] = ["integer", "string"]
    if plain.pop("nullable", False) and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    if "properties" in plain:
        plain["properties"] = {name: strict(it) for name, it in plain["properties"].items()}
        if not is_open:
            plain.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties", "not"):
        if isinstance(plain.get(key), dict):
            plain[key] = strict(plain[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in plain:
            # Those only add conditions, and may name some of the fields.
            plain[key] = [{**strict(it), "additionalProperties": True} for it in plain[key]]
    return plain


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        crd = yaml.safe_load(file)
    version = next(it for it in crd["spec"]["versions"] if it["storage"])
    schema = strict(version["schema"]["openAPIV3Schema"])
    # The API server knows these two; a chart has names and labels there.
    schema["properties"]["metadata"] = {"type": "object"}
    schema["properties"].pop("status", None)
    api = f"{crd['spec']['group']}/{version['name']}"
    schema["properties"]["apiVersion"] = {"const": api}
    schema["properties"]["kind"] = {"const": crd["spec"]["names"]["kind"]}
    schema["required"] = sorted({"apiVersion", "kind", "metadata", *schema.get("required", [])})
    head = {"$schema": "http://json-schema.org/draft-07/schema#"}
    print(json.dumps({**head, **schema}, separators=(",", ":"), sort_keys=True))


if __name__ == "__main__":
    main()
