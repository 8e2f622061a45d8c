# One image for every role: `docker build -t daybook .`
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package daybook

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data daybook \
    && install --directory --owner=daybook --mode=0700 /data
COPY --from=build /src/target/release/daybook /usr/local/bin/daybook
COPY deploy/compose/healthy /usr/local/bin/healthy
USER 10001
VOLUME /data
ENV DAYBOOK_DATA=/data \
    DAYBOOK_LISTEN=0.0.0.0:8080 \
    DAYBOOK_LOG_FORMAT=json
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s CMD ["healthy"]
ENTRYPOINT ["daybook"]
CMD ["serve"]
