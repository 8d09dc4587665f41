#!/usr/bin/env bash
# npm run test:containers: an engine, an image of these sources, the tests. Without an engine they are skipped, and that is said;
# with MT_REQUIRE_ENGINE=1 it is a failure.
set -uo pipefail
cd "$(dirname "$0")/../.."
bash test/containers/engine.sh
if [ $? -ne 0 ]; then
  echo "SKIPPED all container tests: no container engine can be had here"
  echo "0 passed, 0 failed"
  [ "${MT_REQUIRE_ENGINE:-0}" != 1 ]
  exit
fi
bash test/containers/engine.sh clean
bash test/containers/build-image.sh || exit 1
exec node test/gate.ts --only containers
