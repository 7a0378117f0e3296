#!/usr/bin/env bash
# Writes the lock files: hashes, every platform, no index address.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() { .venv/bin/uv pip compile --universal --python-version 3.11 --python .venv/bin/python --generate-hashes --no-emit-index-url --no-strip-extras --no-header --quiet "$@"; }
lock --extra otel pyproject.toml -o requirements/runtime.txt
lock pyproject.toml requirements/dev.in -c requirements/runtime.txt -o requirements/dev.txt
lock requirements/build.in -c requirements/dev.txt -o requirements/build.txt
