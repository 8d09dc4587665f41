# One image for all three programs: docker run IMAGE mt-trackerd …, mt-peerd …, or mt ….
# Plain builder syntax, so that it also builds without BuildKit and from a local base image (--build-arg BASE_IMAGE=…).
ARG BASE_IMAGE=node:24-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
# No install script is needed: better-sqlite3 and esbuild carry their binaries, and the image's own node is the right one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${BASE_IMAGE}
# Monitoring listens on the container's own loopback: it is for the health check, and for who shares the network namespace.
ENV NODE_ENV=production \
    XDG_STATE_HOME=/data \
    XDG_RUNTIME_DIR=/run/mini-torrent \
    MT_TRACKERD_METRICS_PORT=9464 \
    MT_PEERD_METRICS_PORT=9464
WORKDIR /app
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules ./node_modules
COPY --from=build /src/dist ./dist
COPY --from=build /src/cli/bin ./cli/bin
COPY --from=build /src/daemon/bin ./daemon/bin
COPY --from=build /src/cluster/bin ./cluster/bin
COPY --from=build /src/codec/bin ./codec/bin
RUN ln -s /app/cli/bin/mt.cjs /usr/local/bin/mt \
 && ln -s /app/daemon/bin/mt-peerd.cjs /usr/local/bin/mt-peerd \
 && ln -s /app/cluster/bin/mt-trackerd.cjs /usr/local/bin/mt-trackerd \
 && mkdir -p /data /key /config /run/mini-torrent \
 && chown 1000:1000 /data /key /config /run/mini-torrent \
 && chmod 700 /data /key /run/mini-torrent
USER 1000:1000
VOLUME /data
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: the program itself is process 1 and gets SIGTERM.
CMD ["mt", "--help"]
