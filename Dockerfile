# One image for the operator (/bridgekeeper) and the data plane (/bridge). The
# binaries are static; build them first with `make build`.
ARG BASE=gcr.io/distroless/static:nonroot
FROM ${BASE}
COPY bin/bridgekeeper bin/bridge /
USER 65532:65532
ENTRYPOINT ["/bridgekeeper"]
