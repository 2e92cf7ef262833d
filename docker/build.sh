#!/usr/bin/env bash
# Build the image, and with APPTAINER=1 the Apptainer file from the same recipe.
#   docker/build.sh [IMAGE]      default: spark-cot:VERSION
#   TORCH_INDEX=https://download.pytorch.org/whl/cu126 docker/build.sh   for GPUs
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image=${1:-spark-cot:$version}
arguments=(--file docker/Dockerfile --tag "$image")
if [[ -n ${TORCH_INDEX:-} ]]; then
  arguments+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
fi
docker build "${arguments[@]}" .
docker run --rm "$image" spark-cot --version

if [[ -n ${APPTAINER:-} ]]; then
  apptainer build --build-arg "image=$image" "spark-cot-$version.sif" docker/spark-cot.def
fi
