#!/usr/bin/env bash
# Checks and times everything that needs an NVIDIA GPU, and leaves logs and figures in a folder.
# usage: bench/gpu.sh [FOLDER]     (default: build/gpu; PYTHON names the interpreter)
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/gpu}
mkdir -p "$out"
export PYTHONPATH="$PWD/.import${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
python=${PYTHON:-python3}

"$python" -m pytest -q -m gpu --tb=short --maxfail=60 -ra test >"$out/tests.log" 2>&1
tests=$?
"$python" bench/gpu_epilogue.py --out "$out/epilogue.json" >"$out/epilogue.log" 2>&1
epilogue=$?
"$python" bench/gpu_kernels.py --out "$out/kernels.json" >"$out/kernels.log" 2>&1
kernels=$?

tail -n 45 "$out/tests.log" | cut -c1-220
cat "$out/kernels.log" "$out/epilogue.log" | cut -c1-150
echo "exit codes: tests $tests, epilogue $epilogue, kernels $kernels; logs in $out"
exit $((tests | epilogue | kernels))
