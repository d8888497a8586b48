# The server of WavRAG with its weights: docker build -t wavrag .
# Any image with Python 3.11 on Debian serves as the base; docs/deploy.md says how it is pinned.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY deploy/build.lock deploy/server.lock deploy/
# Wheels only, each with its hash; `make lock` writes both files.
RUN python3 -m venv /opt/build && python3 -m venv /opt/wavrag \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r deploy/build.lock \
    && /opt/wavrag/bin/pip install --require-hashes --only-binary :all: -r deploy/server.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/build/bin/python -m hatchling build -t wheel -d dist \
    && /opt/wavrag/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/wavrag/bin/pip uninstall --yes pip setuptools

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="WavRAG" \
      org.opencontainers.image.description="Ask with your voice, over documents and recordings" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 wavrag \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home \
       --shell /usr/sbin/nologin wavrag \
    && install -d -o 10001 -g 10001 -m 750 /data
COPY --from=build /opt/wavrag /opt/wavrag
# Nothing outside /data and /tmp is written, so the root file system can be read-only.
ENV PATH=/opt/wavrag/bin:$PATH \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WAVRAG_CONFIG=/data/config \
    WAVRAG_KB=/data/kb
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8321
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8321/readyz', timeout=4)"]
ENTRYPOINT ["wavrag"]
# Requests need a token: set WAVRAG_TOKEN, or create tokens with `wavrag token`.
CMD ["serve", "--host", "0.0.0.0", "--create", "--log-json"]
