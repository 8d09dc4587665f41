#!/usr/bin/env bash
# Finds a container engine, or installs docker.io from Debian and starts dockerd. Says in one line what it found or did.
#   engine.sh          exit 0: an engine answers; exit 3: none can be had here
#   engine.sh clean    removes what container tests that were killed left behind
#   engine.sh stop     stops the dockerd that this script started, and no other
set -uo pipefail
state=${MT_ENGINE_STATE:-/var/tmp/mini-torrent-engine}
socket=/var/run/docker.sock
answers() { docker version -f '{{.Server.Version}}' >/dev/null 2>&1; }
none() { echo "no container engine: $*" >&2; exit 3; }
is_dockerd() { [ "$(cat "/proc/${1:-none}/comm" 2>/dev/null)" = dockerd ]; }

# The compose file is tried with whichever compose there is; Debian has one.
compose() {
  { docker compose version || command -v docker-compose; } >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker-compose; } >/dev/null 2>&1
}

case ${1:-start} in
  start) ;;
  clean)
    answers || exit 0
    label=label=org.testcontainers=true
    docker ps -aq --filter $label | xargs -r docker rm -fv >/dev/null
    docker network ls -q --filter $label | xargs -r docker network rm >/dev/null
    docker volume ls -q --filter $label | xargs -r docker volume rm >/dev/null
    exit 0 ;;
  stop)
    pid=$(cat "$state/pid" 2>/dev/null || true)
    is_dockerd "$pid" && kill "$pid"
    rm -f "$state/pid"
    exit 0 ;;
  *) echo "usage: $0 [start|clean|stop]" >&2; exit 2 ;;
esac

answers && { compose; echo "a container engine answers: $(docker version -f '{{.Server.Version}}')"; exit 0; }
[ "$(id -u)" = 0 ] || none "none answers, and only root could start one"
if ! command -v dockerd >/dev/null; then
  command -v apt-get >/dev/null || none "dockerd is not installed, and there is no apt-get"
  log=$(mktemp)
  # RUNLEVEL=1: the package starts no service of its own; we start it, where no init runs too.
  { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    docker.io iptables iproute2 busybox-static util-linux; } >"$log" 2>&1 || none "apt-get install docker.io: $(tail -1 "$log")"
  answers && { compose; echo "docker.io was installed and answers"; exit 0; }
fi

mkdir -p "$state"
# The pid file of a dockerd that was killed stops the next one.
[ -e /var/run/docker.pid ] && ! is_dockerd "$(cat /var/run/docker.pid)" && rm -f /var/run/docker.pid
# A session of its own, and no terminal: it outlives this script. Published ports bind to loopback only.
setsid nohup dockerd --ip 127.0.0.1 >"$state/log" 2>&1 </dev/null &
pid=$!
for _ in $(seq 300); do
  answers && break
  kill -0 "$pid" 2>/dev/null || none "dockerd ended: $(tail -1 "$state/log")"
  sleep 0.1
done
answers || none "dockerd said nothing at $socket for 30 s: $(tail -1 "$state/log")"
echo "$pid" > "$state/pid"
compose
echo "started dockerd $(docker version -f '{{.Server.Version}}'), log in $state/log"
