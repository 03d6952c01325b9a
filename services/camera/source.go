package camera

import (
	"context"
	"errors"
	"fmt"
	"image"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// frame is one picture as the source gave it: encoded, decoded, or to be drawn when somebody
// wants it.
type frame struct {
	jpeg []byte
	img  image.Image
	draw func() image.Image
	at   time.Time // when it was taken
}

// source is a camera that can be opened.
type source interface {
	// open begins to take pictures. It gives up with ctx.
	open(ctx context.Context) (reader, error)
	// String is the source as it may be shown: without a password.
	String() string
}

// reader gives pictures one after the other. One goroutine uses it.
type reader interface {
	// next blocks until there is a picture, ctx ends, or the source fails.
	next(ctx context.Context) (frame, error)
	close()
}

// errNoPicture is the error of a source that gives nothing in time.
var errNoPicture = errors.New("no picture in time")

// newSource finds the source of the options.
func newSource(o *Options) (source, error) {
	scheme, rest, _ := strings.Cut(o.Source, ":")
	switch {
	case o.Source == "auto":
		return autoSource{o}, nil
	case o.Source == "test":
		return testSource{o}, nil
	case scheme == "v4l2" && strings.HasPrefix(rest, "/"):
		return deviceSource{o, rest}, nil
	case strings.HasPrefix(o.Source, "/dev/"):
		return deviceSource{o, o.Source}, nil
	case scheme == "http" || scheme == "https":
		u, err := url.Parse(o.Source)
		if err != nil || u.Host == "" {
			return nil, errors.New("source: not a URL such as http://camera/stream")
		}
		return httpSource{o, u}, nil
	case slices.Contains([]string{"rtsp", "rtsps", "rtmp", "udp", "tcp", "file", "ffmpeg"}, scheme) && rest != "" && !strings.HasPrefix(rest, "-"):
		return ffmpegSource{o, scheme, rest}, nil
	}
	return nil, fmt.Errorf("source: %q is not auto, test, v4l2:/dev/videoN, http://, rtsp:// nor ffmpeg:INPUT", shownURL(o.Source))
}

// shownURL hides the password of a URL; what is none has none.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	return u.Redacted()
}

// autoSource is the first device that there is, or the test picture. Once there was a device it
// stays the device: one that is unplugged is waited for.
type autoSource struct{ o *Options }

func (s autoSource) String() string {
	if path := firstDevice(); path != "" {
		return deviceSource{s.o, path}.String()
	}
	return "test picture, since there is no camera"
}

func (s autoSource) open(ctx context.Context) (reader, error) {
	if path := firstDevice(); path != "" {
		return deviceSource{s.o, path}.open(ctx)
	}
	return testSource(s).open(ctx)
}

// firstDevice is the first video device, or "".
func firstDevice() string {
	paths, err := filepath.Glob("/dev/video[0-9]*")
	if err != nil {
		return ""
	}
	slices.SortFunc(paths, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			return p
		}
	}
	return ""
}
