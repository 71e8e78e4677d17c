# The image for those who have a container engine. "make image" builds the same program, with the same flags, the same user
# and root certificates in the same place, without one.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
WORKDIR /src

# The modules change less often than the sources, so they are a layer of their own.
COPY go.mod go.sum ./
RUN go mod download

COPY api api
COPY cmd cmd
COPY controllers controllers
COPY internal internal
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /fluent-credential-operator ./cmd/operator

FROM gcr.io/distroless/static:nonroot
COPY --from=build /fluent-credential-operator /fluent-credential-operator
USER 65532:65532
ENTRYPOINT ["/fluent-credential-operator"]
