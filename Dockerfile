# dsrun in a container: `docker build -t dsrun .`; docs/guides/containers.md says how it is run.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY dsrun ./dsrun
COPY pipelines ./pipelines
COPY schemas ./schemas
# Such as [video,parquet].
ARG EXTRAS=""
RUN python -m venv /opt/dsrun && /opt/dsrun/bin/pip install --no-cache-dir ".$EXTRAS"

FROM python:3.12-slim
COPY --from=build /opt/dsrun /opt/dsrun
ENV PATH=/opt/dsrun/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
# User, folder and home are those of `dsrun cron --kubernetes`.
RUN groupadd --gid 10001 dsrun \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin dsrun \
    && install --directory --owner=10001 --group=10001 /pipelines
USER 10001:10001
WORKDIR /pipelines
# The whole folder, not /pipelines/outputs: Kubernetes would put an empty one over the outputs of its claim.
VOLUME ["/pipelines"]
ENTRYPOINT ["dsrun"]
CMD ["--help"]
