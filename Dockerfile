# docker build --tag authn-scim .
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /src
COPY requirements.txt ./
RUN /opt/venv/bin/pip install --requirement requirements.txt
COPY . /opt/authn-scim
RUN /opt/venv/bin/python -m compileall -q /opt/authn-scim

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2 HOST=0.0.0.0 PORT=8000 DATA_DIR=/data
RUN groupadd --gid 10001 authn-scim \
    && useradd --uid 10001 --gid authn-scim --no-create-home --shell /usr/sbin/nologin authn-scim \
    && install --directory --owner authn-scim --group authn-scim --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/authn-scim /opt/authn-scim
WORKDIR /opt/authn-scim
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=2)"]
# Everything in one container; compose.yml shows one process for each.
CMD ["flask", "--app", "app", "serve"]
