# docker build -t inrcodec . && docker run -p 127.0.0.1:8787:8787 -e INRCODEC_TOKEN -v inrcodec:/data --read-only --tmpfs /tmp inrcodec
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
# This index has builds of torch without CUDA; the others come from the usual one.
RUN python -m venv /opt/inrcodec \
    && /opt/inrcodec/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -c constraints.txt '.[serve,volume,shape,audio,video]'

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin inrcodec && install -d -o inrcodec -g inrcodec -m 700 /data
COPY --from=build /opt/inrcodec /opt/inrcodec
ENV PATH=/opt/inrcodec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NUMBA_CACHE_DIR=/tmp/numba
USER inrcodec
WORKDIR /data
VOLUME /data
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8787/readyz', timeout=4)"]
# Without INRCODEC_TOKEN or --token-file this refuses to begin.
ENTRYPOINT ["inrcodec", "serve", "/data", "--host", "0.0.0.0", "--log-format", "json"]
