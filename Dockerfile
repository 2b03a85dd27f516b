# undiffuse serve on a processor: docker build -t undiffuse . (docs/scale.md)
FROM python:3.12-slim-bookworm

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE THIRD_PARTY.md MANIFEST.in ./
COPY undiffuse undiffuse
RUN pip install --no-cache-dir -c constraints.txt --index-url https://download.pytorch.org/whl/cpu torch==2.13.0 \
 && pip install --no-cache-dir -c constraints.txt '.[serve]' \
 && rm -rf /src/* \
 && useradd --create-home --uid 10001 undiffuse

USER 10001
WORKDIR /home/undiffuse
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["undiffuse"]
CMD ["serve", "--host", "0.0.0.0", "--model", "world"]
