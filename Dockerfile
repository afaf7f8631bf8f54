# Three images from the Debian packages that `make packages` builds:
#   docker build --target store .          PostgreSQL with the extension, and a store in its database
#   docker build --target orchestrator .   the orchestrator
#   docker build --target extension .      the extension alone, a volume for CloudNativePG
# --build-arg POSTGRESQL=15|16|17|18 chooses the PostgreSQL.
ARG POSTGRESQL=17
ARG RUST=1.95

FROM rust:${RUST}-slim-bookworm AS rust

FROM postgres:${POSTGRESQL}-bookworm AS packages
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
RUN rustup component add rustfmt \
    && apt-get update \
    && apt-get install --yes --no-install-recommends \
      debhelper gcc libc6-dev libclang-dev make postgresql-server-dev-$PG_MAJOR
WORKDIR /message_store
COPY . .
RUN make packages PG_CONFIG=/usr/lib/postgresql/$PG_MAJOR/bin/pg_config

FROM postgres:${POSTGRESQL}-bookworm AS store
COPY --from=packages /message_store/target/packages/postgresql-*-message-store_*.deb /packages/
RUN apt-get update \
    && apt-get install --yes --no-install-recommends /packages/*.deb \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/store/ /docker-entrypoint-initdb.d/

FROM packages AS unpacked
RUN dpkg-deb --extract target/packages/postgresql-$PG_MAJOR-message-store_*.deb /unpacked \
    && mkdir -p /image/share /image/licenses \
    && mv /unpacked/usr/lib/postgresql/$PG_MAJOR/lib /image/lib \
    && mv /unpacked/usr/share/postgresql/$PG_MAJOR/extension /image/share/extension \
    && mv /unpacked/usr/share/doc/*/copyright /image/licenses/message_store

# See docs/kubernetes.md; needs POSTGRESQL=18 or newer.
FROM scratch AS extension
COPY --from=unpacked /image/ /

FROM debian:bookworm-slim AS orchestrator
COPY --from=packages /message_store/target/packages/message-store-orchestrator_*.deb /packages/
RUN apt-get update \
    && apt-get install --yes --no-install-recommends /packages/*.deb \
    && rm -rf /var/lib/apt/lists/*
USER message_store_orchestrator
EXPOSE 8080 8081 9464
ENTRYPOINT ["orchestrator"]
CMD ["run", "--config", "/etc/message_store/orchestrator.toml"]
