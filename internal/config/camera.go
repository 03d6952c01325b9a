package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Camera is what the robot sees with.
type Camera struct {
	Source    CameraSource `yaml:"source" doc:"Where pictures come from: auto (the first camera of this machine, else a moving test picture), test, v4l2:/dev/videoN, http://HOST/PATH (MJPEG), or what ffmpeg reads: rtsp://HOST/PATH, file:/PATH, ffmpeg:INPUT. Use TARSD_CAMERA_SOURCE for a URL with a password."`
	Width     int          `yaml:"width" doc:"Pixels, before turning; 0 with height 0: as the source has it."`
	Height    int          `yaml:"height" doc:"Pixels, before turning."`
	FPS       float64      `yaml:"fps" doc:"Pictures a second that are taken, 0.1 to 60."`
	Quality   int          `yaml:"quality" doc:"JPEG quality, 1 to 100; 0: a JPEG of the source as it is, and 80 for what is encoded here."`
	Rotation  int          `yaml:"rotation" doc:"Degrees clockwise: 0, 90, 180 or 270."`
	JPEGRate  float64      `yaml:"jpeg_rate" doc:"Pictures a second on camera/jpeg while nobody asks for more with camera/view; 0: only on demand."`
	FrameRate float64      `yaml:"frame_rate" doc:"Pictures a second on camera/frame, in base64, for peers of the system that tarsd replaces; 0 for none."`
	Timeout   Duration     `yaml:"timeout" doc:"Time for a picture, from the source and for a request."`
	FFmpeg    string       `yaml:"ffmpeg" doc:"The program."`
	Viewers   int          `yaml:"viewers" doc:"Streams at a time on the HTTP port, /camera/stream; 0: no camera there. It belongs to the process with the port, wherever the camera is."`
	Motion    CameraMotion `yaml:"motion"`
}

// CameraSource is where pictures come from. It may be a URL with a password, so that every way of
// printing it hides that; Reveal is the only way to it.
type CameraSource struct{ raw string }

// Reveal returns the source with its password.
func (s CameraSource) Reveal() string { return s.raw }

var sourcePassword = regexp.MustCompile(`(\w+://[^/\s:@]*:)[^@\s/]*@`)

// String is the source without a password.
func (s CameraSource) String() string {
	return sourcePassword.ReplaceAllString(s.raw, "${1}"+hidden+"@")
}

// GoString implements fmt.GoStringer, so that %#v hides the password too.
func (s CameraSource) GoString() string { return fmt.Sprintf("config.CameraSource(%q)", s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s CameraSource) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *CameraSource) UnmarshalText(b []byte) error {
	s.raw = strings.TrimSpace(string(b))
	if s.raw == "" {
		return errors.New("is empty; write auto, test or where the camera is")
	}
	return nil
}

// CameraMotion is the detection of motion.
type CameraMotion struct {
	Enabled   bool    `yaml:"enabled" doc:"Say on camera/motion when something begins and ceases to move. Pictures are compared, and never stored."`
	Threshold float64 `yaml:"threshold" doc:"Part of the picture that has to change, above 0 up to 1."`
}

func defaultCamera() Camera {
	return Camera{
		Source: CameraSource{"auto"}, Width: 640, Height: 480, FPS: 10, JPEGRate: 0.2, Timeout: Duration(5 * time.Second), FFmpeg: "ffmpeg", Viewers: 8,
		Motion: CameraMotion{Threshold: 0.02},
	}
}

// check looks at single values; the service looks at them together, and at the source.
func (c Camera) check(key string, ps *Problems) {
	for _, v := range []struct {
		name     string
		is       float64
		min, max float64
	}{
		{"fps", c.FPS, 0.1, 60}, {"quality", float64(c.Quality), 0, 100}, {"jpeg_rate", c.JPEGRate, 0, 60}, {"frame_rate", c.FrameRate, 0, 60},
		{"viewers", float64(c.Viewers), 0, 100},
		{"width", float64(c.Width), 0, 8192}, {"height", float64(c.Height), 0, 8192}, {"motion.threshold", c.Motion.Threshold, 0.0001, 1},
	} {
		if v.is < v.min || v.is > v.max {
			ps.add(key+"."+v.name, "", "%v is not from %v to %v", v.is, v.min, v.max)
		}
	}
	if c.Rotation%90 != 0 || c.Rotation < 0 || c.Rotation > 270 {
		ps.add(key+".rotation", "", "%d is not 0, 90, 180 or 270", c.Rotation)
	}
	if (c.Width == 0) != (c.Height == 0) {
		ps.add(key+".width", "", "width and height are both 0, or none is")
	}
	if c.Timeout < Duration(100*time.Millisecond) || c.Timeout > Duration(time.Minute) {
		ps.add(key+".timeout", "", "%s is not from 100ms to 1m", c.Timeout)
	}
}

// cameraEnv are the reference's names. CAMERA_MQTT_RATE is pictures a second, as its code has it.
var cameraEnv = []legacy{
	{"CAMERA_DEVICE_INDEX", "camera.source", func(v string) string { return fmt.Sprintf("v4l2:/dev/video%s", v) }},
	{"CAMERA_WIDTH", "camera.width", nil}, {"CAMERA_HEIGHT", "camera.height", nil}, {"CAMERA_FPS", "camera.fps", nil},
	{"CAMERA_QUALITY", "camera.quality", nil}, {"CAMERA_ROTATION", "camera.rotation", nil},
	{"CAMERA_MQTT_RATE", "camera.frame_rate", nil},
	{"CAMERA_TIMEOUT_MS", "camera.timeout", func(v string) string { return v + "ms" }},
}
