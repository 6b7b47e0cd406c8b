"""Dockerfiles as people write them, that every builder builds the same way."""

__all__ = ["ORDINARY"]

# BASE stands for an image with a shell. Each is built in a context that holds the file `hello`.
ORDINARY = {
    "a syntax line and continued lines": r"""# syntax=docker/dockerfile:1
FROM BASE AS build
RUN set -e; \
    # a comment between

    echo one > /one && \
    echo two > /two
FROM BASE
COPY --from=build --chown=0:0 /one /two /
""",
    "shifts and here-strings of the shell": r"""FROM BASE
RUN echo $((1<<4)) > /sixteen && echo $(( 256>>4 )) >> /sixteen
RUN echo 'cat <<EOF' > /quoted
RUN ["sh", "-c", "cat <<EOF\nx\nEOF\n"]
RUN sh -c "cat <<EOF" || true
""",
    "another escape": """# escape=`
FROM BASE
RUN echo a\\
RUN echo `
  two
""",
    "every instruction": r"""ARG VERSION=1
FROM BASE
ARG VERSION
LABEL version=$VERSION description="a << b"
ENV GREETING="hello there" OTHER=x
WORKDIR /srv
ADD --chown=0:0 hello ./
ADD ["hello", "/srv/json/"]
COPY hel?o hello /srv/files/
USER 0
EXPOSE 8080/tcp
VOLUME ["/data"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD test -f /srv/hello
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN echo later
ENTRYPOINT ["cat"]
CMD ["/srv/hello"]
""",
    "lower case and carriage returns": "from BASE\r\n\r\n   run echo x \\\r\n  && echo y\r\ncmd   echo --flag\r\n",
    "checks that are skipped": "# check=skip=all\nFROM BASE\nmaintainer somebody\nCMD true\n",
    "a byte order mark": "\ufeffFROM BASE\nCMD true\n",
    "the platform by its default": 'FROM BASE\nARG TARGETARCH\nRUN test -n "$TARGETARCH"\n',
    "the machine's own platform": "ARG BUILDPLATFORM\nFROM --platform=$BUILDPLATFORM BASE\nCMD true\n",
}
