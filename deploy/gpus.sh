#!/usr/bin/env bash
# Tells Spark which GPUs this machine has: {"name": "gpu", "addresses": ["0","1"]}.
# spark.executor.resource.gpu.discoveryScript (YARN, Kubernetes) or spark.worker.resource.gpu.discoveryScript (standalone).
set -euo pipefail

addresses="$(nvidia-smi --query-gpu=index --format=csv,noheader | sed 's/.*/"&"/' | paste -sd, -)"
printf '{"name": "gpu", "addresses": [%s]}\n' "$addresses"
