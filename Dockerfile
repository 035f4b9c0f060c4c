# The MCP server on stdio, for a client that starts it:
#   docker build --tag pingone-mcp .
#   docker run --rm --interactive --read-only --env-file my.env --volume pingone-mcp:/data pingone-mcp
# Any other command stands behind it: docker run … pingone-mcp check

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements-dev.txt ./
# Everything is checked against the hashes of the lock file; what is installed afterwards comes from this folder alone.
RUN python -m pip download --quiet --no-deps --require-hashes --requirement requirements-dev.txt --dest /packages
COPY . .
RUN python -m venv /app
RUN env PIP_NO_INDEX=1 PIP_FIND_LINKS=/packages /app/bin/python -m pip install --quiet --compile '.[serve,postgres,xlsx]'
RUN /app/bin/python -m pip uninstall --quiet --yes pip

FROM python:3.13-slim
COPY --from=build /app /app
# The only place that is written to: kept tokens, the local copy, the record of writes, and what is temporary.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data
ENV PATH="/app/bin:$PATH" HOME="/data" TMPDIR="/data" PYTHONDONTWRITEBYTECODE="1"
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
# Whether PingOne accepts the credentials: what the server on stdio lives on, and what a sync does.
HEALTHCHECK --interval=10m --timeout=60s --start-period=30s CMD ["pingone-mcp", "check"]
ENTRYPOINT ["pingone-mcp"]
