# One image for every process of Sluice; which one it is, the command says:
#   python -m producers gateway | checkpointer | timed …
#   python -m consumers screening redaction …
#   sluice …
# Run it with a read-only root file system: it writes to volumes alone. docs/operations.md

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python -m venv /opt/sluice
# Requirements first: they change less often than the code.
COPY requirements/runtime.txt requirements/
RUN /opt/sluice/bin/python -m pip install --require-hashes --no-deps --only-binary :all: \
    -r requirements/runtime.txt
# The builder's requirements are locked too; nothing of it reaches the image.
COPY requirements/build.txt requirements/
RUN python -m venv /opt/builder && /opt/builder/bin/python -m pip install \
    --require-hashes --no-deps --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY pipeline pipeline
COPY infra infra
COPY consumers consumers
COPY producers producers
RUN /opt/builder/bin/python -m build --wheel --no-isolation --outdir dist . \
    && /opt/sluice/bin/python -m pip install --no-deps dist/*.whl \
    && /opt/sluice/bin/python -m compileall -q /opt/sluice/lib \
    && /opt/sluice/bin/python -m pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.licenses="Apache-2.0"
# What large bodies took goes back when they end: glibc raises this threshold by itself,
# and then keeps it (200 waiting requests of 1 MB: 1,000 MB without this, 100 with it).
ENV PATH=/opt/sluice/bin:/usr/local/bin:/usr/bin:/bin \
    MALLOC_MMAP_THRESHOLD_=131072 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN groupadd --system --gid 10001 sluice \
    && useradd --system --uid 10001 --gid 10001 --no-create-home \
       --home-dir /nonexistent --shell /usr/sbin/nologin sluice
COPY --from=build /opt/sluice /opt/sluice
USER 10001:10001
WORKDIR /
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# No HEALTHCHECK: orchestrators ask /livez and /readyz, and only they know the port.
CMD ["python", "-m", "consumers", "--help"]
