#!/usr/bin/env bash
# Makes a stand-in for node:24-bookworm-slim where no image can be pulled: the project's node, the machine's npm, the libraries
# that ldd names, busybox for a shell. Run through npm, so that `node` is the project's.   base-image.sh [NAME:TAG]
set -euo pipefail
image=${1:-localhost/mini-torrent-base:local}
node=$(readlink -f "$(node -p process.execPath)")
npm_cli=$(PATH=${PATH//node_modules\/.bin/none} command -v npm)
npm_dir=$(dirname "$(dirname "$(readlink -f "$npm_cli")")")
busybox=$(command -v busybox || true)
if [ -z "$busybox" ] || ldd "$busybox" >/dev/null 2>&1; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends busybox-static >/dev/null
  busybox=$(command -v busybox)
fi

key=$( { sha256sum "$0" "$busybox" "$node"; cat "$npm_dir/package.json"; } | sha256sum | cut -c1-16)
have=$(docker image inspect -f '{{index .Config.Labels "base.key"}}' "$image" 2>/dev/null || true)
if [ "$have" = "$key" ]; then
  echo "base image $image is up to date"
  exit 0
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib/x86_64-linux-gnu,usr/lib64,usr/local/bin,usr/local/lib/node_modules}
mkdir -p "$root"/{etc/ssl/certs,tmp,var/tmp,root,home/node,proc,sys,dev,run}
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
cp "$node" "$root/usr/local/bin/node"
cp -r "$npm_dir" "$root/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
cp "$busybox" "$root/usr/bin/busybox"
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/usr/bin/$applet"
done
# env is asked for by its full path in scripts' first lines.
[ -e "$root/usr/bin/env" ] || ln -s busybox "$root/usr/bin/env"
# What ldd shows, and what is loaded only at run time: name resolution, and the C++ library of native add-ons.
late=$(find /lib/x86_64-linux-gnu -maxdepth 1 -name 'libnss_files.so.2' -o -maxdepth 1 -name 'libnss_dns.so.2' \
  -o -maxdepth 1 -name 'libresolv.so.2' -o -maxdepth 1 -name 'libgcc_s.so.1' -o -maxdepth 1 -name 'libstdc++.so.6')
for library in $(ldd "$node" | grep -o '/[^ )]*\.so[^ )]*') $late; do
  target=$root/usr${library#/usr}
  mkdir -p "$(dirname "$target")"
  cp -Ln "$library" "$target"
done
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
fi
printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > "$root/etc/passwd"
printf 'root:x:0:\nnode:x:1000:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
chown -R 1000:1000 "$root/home/node"

tar -C "$root" --numeric-owner -c . | docker import \
  --change 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  --change 'ENV LANG=C.UTF-8' \
  --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' \
  --change "LABEL base.key=$key" \
  --change 'CMD ["node"]' \
  - "$image" >/dev/null
echo "base image $image made"
