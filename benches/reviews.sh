#!/usr/bin/env bash
# usage: reviews.sh FOLDER
#
# Writes the reviews that are measured with, 2.json, 8.json and 130.json by their size in kilobytes: the example review, as a real API
# server sends it, with what larger Pods have more of: environment, labels, and the managed fields that record each of them.
set -euo pipefail
example=$(dirname "${BASH_SOURCE[0]}")/../examples/admission-review.json
mkdir -p "$1"

# The example with $1 variables in its environment, half as many labels, and $2 more containers like its first.
grown() {
  jq --compact-output --argjson variables "$1" --argjson containers "$2" '
    def field: "f:" + .;
    [range($variables) | "VARIABLE_\(.)"] as $names
    | [range($variables / 2 | floor) | "example.com/label-\(.)"] as $labels
    | .request.object |= (
        .spec.containers[0].env = [$names[] | { name: ., value: "the value of \(.)" }]
        | .metadata.labels += ($labels | map({ key: ., value: "a-value" }) | from_entries)
        | .spec.containers += [range($containers) as $n | .spec.containers[0] | .name = "app-\($n + 1)"]
        | (.metadata.managedFields[0].fieldsV1 | .["f:metadata"]["f:labels"]) += ($labels | map({ key: field, value: {} }) | from_entries)
        | (.metadata.managedFields[0].fieldsV1["f:spec"]["f:containers"]) += ([range($containers + 1) as $n | {
            key: "k:{\"name\":\"app-\($n)\"}",
            value: ({ ".": {}, "f:image": {}, "f:name": {}, "f:resources": {} } + { "f:env": ($names | map({
              key: "k:{\"name\":\"\(.)\"}", value: { ".": {}, "f:name": {}, "f:value": {} } }) | from_entries) }) }] | from_entries)
      )' "$example"
}

jq --compact-output 'del(.request.object.metadata.managedFields[0].fieldsV1["f:spec"]["f:containers"])' "$example" >"$1/2.json"
grown 32 0 >"$1/8.json"
grown 36 26 >"$1/130.json"
