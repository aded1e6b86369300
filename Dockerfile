# Tokenferry in a container:
#   docker build -t tokenferry .
#   docker run -p 8000:8000 -v tokenferry-data:/data -e OPENAI_API_KEY tokenferry
# The first start prints an API key once: `docker logs`.

FROM node:22-slim AS web
WORKDIR /build
COPY web/package.json web/package-lock.json web/.npmrc web/
RUN npm ci --prefix web --ignore-scripts --no-audit --no-fund
COPY clients/typescript/src clients/typescript/src
COPY web web
RUN npm run --prefix web build

FROM python:3.13-slim AS build
WORKDIR /build
# Without pip: what is copied into the final stage can run the gateway and nothing else.
RUN python -m venv --without-pip /opt/tokenferry && python -m venv /opt/build
COPY requirements.txt requirements-build.txt ./
RUN /opt/build/bin/pip --python /opt/tokenferry/bin/python install --no-cache-dir \
      --disable-pip-version-check --require-hashes -r requirements.txt \
 && /opt/build/bin/pip install --no-cache-dir \
      --disable-pip-version-check --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY clients/python clients/python
COPY --from=web /build/src/tokenferry/server/web src/tokenferry/server/web
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . ./clients/python \
 && /opt/build/bin/pip --python /opt/tokenferry/bin/python install --no-deps --no-index \
      --disable-pip-version-check /dist/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin tokenferry \
 && install --directory --owner tokenferry --mode 700 /data
COPY --from=build /opt/tokenferry /opt/tokenferry
ENV PATH=/opt/tokenferry/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER tokenferry
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["tokenferry"]
CMD ["serve", "--host", "0.0.0.0", "--data-dir", "/data"]
