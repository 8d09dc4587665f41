#!/usr/bin/env bash
# Builds the project's Dockerfile for the container tests, unless an image of these very sources is there already.
#   build-image.sh [NAME:TAG]    builds; BASE_IMAGE chooses what it stands on
#   build-image.sh --key         prints the key of the sources, which the image carries as a label
set -euo pipefail
cd "$(dirname "$0")/../.."
key=$(find Dockerfile .dockerignore package.json package-lock.json esbuild.config.ts cli cluster codec daemon -type f \
  | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
if [ "${1:-}" = --key ]; then
  echo "$key"
  exit 0
fi
image=${1:-localhost/mini-torrent:test}
if [ "$(docker image inspect -f '{{index .Config.Labels "source.key"}}' "$image" 2>/dev/null || true)" = "$key" ]; then
  echo "image $image is up to date"
  exit 0
fi
if [ -z "${BASE_IMAGE:-}" ]; then
  BASE_IMAGE=node:24-bookworm-slim
  # No registry need be within reach.
  if ! docker image inspect "$BASE_IMAGE" >/dev/null 2>&1; then
    BASE_IMAGE=localhost/mini-torrent-base:local
    bash test/containers/base-image.sh "$BASE_IMAGE"
  fi
fi
# The host's network, for npm; the classic builder, which every engine has.
DOCKER_BUILDKIT=0 docker build -q --network host --build-arg BASE_IMAGE="$BASE_IMAGE" --label source.key="$key" -t "$image" . 2>/dev/null
echo "image $image made on $BASE_IMAGE"
