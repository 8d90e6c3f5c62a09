#!/usr/bin/env bash
# Tells Spark which GPUs this machine has: {"name": "gpu", "addresses": ["0","1"]}.
# spark.executor.resource.gpu.discoveryScript (YARN, Kubernetes) or spark.worker.resource.gpu.discoveryScript (standalone).
#
# An address is a GPU's index, or the UUID of a MIG instance if the GPU is split. If CUDA_VISIBLE_DEVICES is set, the
# addresses are its entries, because the Python workers see only those. A machine without GPUs, or without a working
# driver, has no addresses. That is not a failure of this script: Spark itself complains if an executor should have one.
set -uo pipefail

found() {
  if [[ -n "${CUDA_VISIBLE_DEVICES+set}" ]]; then
    # CUDA ends the list at the first entry that is not a device, such as -1.
    tr ',' '\n' <<<"$CUDA_VISIBLE_DEVICES" | tr -d ' ' | sed '/^-/,$d; /^$/d'
    return
  fi
  if ! command -v nvidia-smi >/dev/null; then
    echo 'gpus.sh: there is no nvidia-smi; no GPU is announced' >&2
    return
  fi
  local listed
  if ! listed="$(nvidia-smi -L)"; then
    echo "gpus.sh: nvidia-smi failed; no GPU is announced: $listed" >&2
    return
  fi
  # GPU 0: NVIDIA A100 (UUID: GPU-...)
  #   MIG 3g.20gb  Device  0: (UUID: MIG-...)
  awk '
    function whole() { if (gpu != "" && !split_up) print gpu }
    /^GPU [0-9]+:/ { whole(); gpu = $2; sub(/:.*/, "", gpu); split_up = 0 }
    /^ +MIG / { split_up = 1; sub(/.*UUID: /, ""); sub(/\).*/, ""); print }
    END { whole() }
  ' <<<"$listed"
}

printf '{"name": "gpu", "addresses": [%s]}\n' "$(found | sed 's/.*/"&"/' | paste -sd, -)"
