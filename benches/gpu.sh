#!/bin/bash
# Measures a machine with a GPU: duia on CUDA, PyTorch beside it, duia on Vulkan and on the CPU, and one table of all.
# It builds nothing and needs no network: `make gpu-kit` lays it beside the program.
#
#   ./run.sh [--minutes M] [--smoke] [--out FOLDER]
#
# M minutes in all (8 by default); what is measured by then is in the table, and the table names the rest.
# A folder of Vulkan's loader (libvulkan.so.1) may be named in LD_LIBRARY_PATH, and its driver in VK_DRIVER_FILES.
set -u
here=$(cd "$(dirname "$0")" && pwd)
minutes=8 out=gpu-results smoke=
while [ $# -gt 0 ]; do
  case $1 in
    --minutes) minutes=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --smoke) smoke=--smoke; minutes=1; shift ;;
    *) echo "run.sh knows --minutes M, --smoke and --out FOLDER, and not $1" >&2; exit 2 ;;
  esac
done
mkdir -p "$out" || exit 2
program=$here/duia
if [ ! -x "$program" ]; then
  # Packed, so that the kit travels light.
  program=$(mktemp -d)/duia
  gunzip -c "$here/duia.gz" >"$program" && chmod +x "$program" || exit 2
fi
share() { awk -v m="$minutes" -v s="$1" 'BEGIN { printf "%.2f", m * s }'; }
limit() { awk -v m="$minutes" -v s="$1" 'BEGIN { printf "%d", 60 * m * s + 25 }'; }

# NVRTC, which compiles duia's kernels, and the header files that it needs: of the toolkit, or of Python's packages.
for driver in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
  [ -e "$driver/libcuda.so.1" ] && export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$driver"
done
packages=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))' 2>/dev/null)
compiler=$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")
folders=$(ls -d "${CUDA_PATH:-/none}" "${CUDA_HOME:-/none}" "$(dirname "$(dirname "$compiler")")" /usr/local/cuda /usr/local/cuda-* /opt/cuda "$packages"/nvidia/cu* \
  "$packages"/nvidia/cuda_* /usr 2>/dev/null)
for folder in $folders; do
  [ -f "$folder/include/crt/mma.h" ] && { export CUDA_PATH=$folder; break; }
done
for folder in $folders; do
  nvrtc=$(ls "$folder"/lib64/libnvrtc.so* "$folder"/lib/libnvrtc.so* "$folder"/targets/*/lib/libnvrtc.so* 2>/dev/null | head -1)
  [ -n "$nvrtc" ] && { export LD_LIBRARY_PATH="$(dirname "$nvrtc")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; break; }
done
echo "NVRTC: ${nvrtc:-not found}; CUDA's headers: ${CUDA_PATH:-not found}/include"

# bench LABEL SHARE ARGUMENTS...: a part of the time for one way to run.
bench() {
  local label=$1 part=$2; shift 2
  echo "== $label"
  timeout --kill-after=5 "$(limit "$part")" "$program" bench --label "$label" --minutes "$(share "$part")" --out "$out" $smoke "$@" ||
    echo "$label ended with code $?"
}

if nvidia-smi -L 2>/dev/null || [ -n "${DUIA_TRY_CUDA:-}" ]; then
  bench "duia, CUDA" .52 --device cuda
  if timeout 60 python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    echo "== PyTorch"
    # TF32 as duia's products on CUDA use it; without it, the step alone for comparison.
    timeout --kill-after=5 "$(limit .26)" python3 "$here/gpu_peer.py" --tf32 --label "PyTorch, TF32" --minutes "$(share .26)" --out "$out" $smoke ||
      echo "PyTorch ended with code $?"
    timeout --kill-after=5 "$(limit .05)" python3 "$here/gpu_peer.py" --label "PyTorch, fp32" --minutes "$(share .05)" --modes eager --sizes paper \
      --batches 16384 --out "$out" $smoke || echo "PyTorch ended with code $?"
  fi
  bench "duia, Vulkan" .12 --device vulkan --batches 4096,16384 --models ple,duia
  bench "duia, CPU" .08 --device cpu --batches 4096 --models ple,duia
else
  bench "duia, CPU" .3 --device cpu --batches 4096,512 --models ple,duia --sizes browser
  bench "duia, Vulkan" .4 --device vulkan --batches 512 --models ple,duia --sizes browser
  if timeout 60 python3 -c 'import torch' 2>/dev/null; then
    echo "== PyTorch"
    timeout --kill-after=5 "$(limit .3)" python3 "$here/gpu_peer.py" --minutes "$(share .3)" --out "$out" --modes eager,compile --sizes browser \
      --batches 4096,512 $smoke || echo "PyTorch ended with code $?"
  fi
fi
"$program" bench --table --out "$out" && cat "$out/table.md"
