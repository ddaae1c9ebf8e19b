# The server with Envoy in front, one container: `lakegate up`.
#
#   docker build -t lakegate .
#   docker run --rm -p 8080:8080 -v lakegate:/var/lib/lakegate \
#     -e LAKEGATE_TOKENS="$(openssl rand -hex 32) default ingest,provision,read" lakegate

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# Every package of the lock, checked against its hash. Changes of the code leave this layer alone.
COPY requirements.lock ./
RUN pip download --quiet --require-hashes --only-binary :all: -r requirements.lock -d /wheels
COPY pyproject.toml README.md LICENSE ./
COPY envoy envoy
COPY server server
# Of what was downloaded, and from nowhere else, what the server needs: no tools of development.
RUN python -m venv /opt/lakegate \
    && /opt/lakegate/bin/pip install --quiet --no-index --find-links /wheels .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Lakegate" \
      org.opencontainers.image.description="Commits rows over REST and gRPC to Apache Iceberg tables" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that a cluster can see that it is not root.
RUN groupadd --gid 10001 lakegate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/lakegate lakegate \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/lakegate
COPY --from=build /opt/lakegate /opt/lakegate
ENV PATH=/opt/lakegate/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LAKEGATE_HOME=/var/lib/lakegate \
    LAKEGATE_HTTP_ADDR=0.0.0.0:8080
USER 10001:10001
WORKDIR /var/lib/lakegate
VOLUME /var/lib/lakegate
EXPOSE 8080
# Liveness. With LAKEGATE_TLS_CERT set, replace it: it asks over plain HTTP.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD \
    ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
# SIGTERM drains: LAKEGATE_DRAIN_SECONDS, 10, must be less than what the container is given to stop.
STOPSIGNAL SIGTERM
ENTRYPOINT ["lakegate"]
CMD ["up"]
