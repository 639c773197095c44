# syntax=docker/dockerfile:1

# docker buildx build --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --build-arg REVISION="$(git rev-parse HEAD)" \
#   --platform linux/amd64,linux/arm64 --output type=image,name=registry.example.com/pullcred/pullcred:VERSION,rewrite-timestamp=true .
#
# Without an engine, image/image.sh makes the same image. To pin the toolchain's image by digest:
# --build-arg RUST_IMAGE=docker.io/library/rust@sha256:…
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm

# The build runs on the machine's own processor, for all platforms: nothing is emulated.
FROM --platform=${BUILDPLATFORM} ${RUST_IMAGE} AS build
ARG BUILDARCH
ARG TARGETARCH
RUN [ "${TARGETARCH}" = "${BUILDARCH}" ] || { \
      cpu=$(case "${TARGETARCH}" in amd64) echo x86-64 ;; arm64) echo aarch64 ;; esac) && apt-get update -qq && \
      apt-get install -y -qq --no-install-recommends "gcc-${cpu}-linux-gnu" "libc6-dev-${TARGETARCH}-cross"; }
WORKDIR /pullcred
COPY . .
# The caches make a second build a matter of the crate itself; what is copied out of them is the binary alone.
RUN --mount=type=cache,id=pullcred-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=pullcred-target-${TARGETARCH},target=/pullcred/target \
    --mount=type=cache,id=pullcred-tools,target=/root/.cache/pullcred \
    binary=$(image/binary.sh "${TARGETARCH}") && install -D --mode=0555 "${binary}" /image/pullcred && \
    install -D --mode=0444 LICENSE /image/licenses/LICENSE && \
    image/roots.sh /image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="pullcred" \
      org.opencontainers.image.description="A Kubernetes admission webhook that gives every new Pod the imagePullSecrets its images need" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="https://github.com/pullcred/pullcred" \
      org.opencontainers.image.url="https://github.com/pullcred/pullcred" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /image/ /
# With it the program need not start itself again: src/allocator.rs.
ENV GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/pullcred"]
