package config

import (
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ears are the robot's microphones, which stt and wake share.
type Ears struct {
	Microphone string       `yaml:"microphone" doc:"This machine's: auto (PulseAudio or PipeWire, else ALSA), pulse[:SOURCE][@SERVER], arecord[:DEVICE], name:TEXT (the first with TEXT in its name), wav:PATH, none. tarsd audio list shows them."`
	MaxSites   int          `yaml:"max_sites" doc:"Pages and satellites that may send sound on audio/in/SITE at a time, 0 to 64. Who may is a matter of access: the built-in roles let each send as itself."`
	Idle       Duration     `yaml:"idle" doc:"A site that has sent nothing for that long has gone."`
	Spectrum   EarsSpectrum `yaml:"spectrum"`
	FanOut     EarsFanOut   `yaml:"fanout"`
}

// EarsSpectrum is what pages draw of this machine's microphone.
type EarsSpectrum struct {
	Publish bool               `yaml:"publish" doc:"Publish it on stt/audio_fft, while there is more than noise."`
	Bins    int                `yaml:"bins" doc:"Numbers in it, from 0 Hz to 8 kHz, 8 to 512."`
	Rate    float64            `yaml:"rate" doc:"So many a second, 1 to 50."`
	Socket  EarsSpectrumSocket `yaml:"socket"`
}

// EarsSpectrumSocket is the WebSocket of the system that tarsd replaces.
type EarsSpectrumSocket struct {
	Enabled bool     `yaml:"enabled" doc:"Serve it on a WebSocket of its own too, for pages of the system that tarsd replaces. It asks for no password."`
	Host    string   `yaml:"host" doc:"Address to listen at; 0.0.0.0 for all."`
	Port    int      `yaml:"port" doc:"Its port."`
	Path    string   `yaml:"path" doc:"Its path."`
	Origins []string `yaml:"origins" shown:"same host only" doc:"Origins of pages that may use it, such as http://robot.local:8080. * allows all."`
}

// Address is where it listens; empty if it does not.
func (s EarsSpectrumSocket) Address() string {
	if !s.Enabled {
		return ""
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// EarsFanOut is the unix socket by which wake processes of the system that tarsd replaces hear.
type EarsFanOut struct {
	Path  string `yaml:"path" shown:"none" doc:"Unix socket that gives the microphone to other processes, such as /tmp/tars/audio-fanout.sock: raw 16 kHz, mono, signed 16 bit."`
	Group bool   `yaml:"group" doc:"Let the group use it too (mode 0660), and not only this user (0600)."`
}

// Mode is that of the socket.
func (f EarsFanOut) Mode() fs.FileMode {
	if f.Group {
		return 0o660
	}
	return 0o600
}

func defaultEars() Ears {
	return Ears{
		Microphone: "auto", MaxSites: 8, Idle: Duration(30 * time.Second),
		Spectrum: EarsSpectrum{Publish: true, Bins: 64, Rate: 12, Socket: EarsSpectrumSocket{Host: "127.0.0.1", Port: 8765, Path: "/fft"}},
	}
}

func (e Ears) check(key string, ps *Problems) {
	kinds := []string{"auto", "pulse", "arecord", "name", "wav", none}
	switch kind, arg, _ := strings.Cut(strings.Replace(e.Microphone, "pulse@", "pulse:@", 1), ":"); {
	case kind == "wav-fast":
		ps.add(key+".microphone", "", "wav-fast is for tests: nobody could follow; write wav:PATH")
	case !slices.Contains(kinds, kind):
		ps.add(key+".microphone", "", "%q is none of %s", e.Microphone, strings.Join(kinds, ", "))
	case (kind == "wav" || kind == "name") && arg == "":
		ps.add(key+".microphone", "", "%q says nothing after %s:", e.Microphone, kind)
	case (kind == "auto" || kind == none) && arg != "":
		ps.add(key+".microphone", "", "%q: %s stands alone", e.Microphone, kind)
	}
	for _, v := range []struct {
		name     string
		is       float64
		min, max float64
	}{
		{"max_sites", float64(e.MaxSites), 0, 64}, {"spectrum.bins", float64(e.Spectrum.Bins), 8, 512}, {"spectrum.rate", e.Spectrum.Rate, 1, 50},
		{"spectrum.socket.port", float64(e.Spectrum.Socket.Port), 1, 65535},
	} {
		if !(v.is >= v.min && v.is <= v.max) { // not a number neither
			ps.add(key+"."+v.name, "", "%v is not from %v to %v", v.is, v.min, v.max)
		}
	}
	if e.Spectrum.Socket.Host == "" { // which would be all addresses, without a word
		ps.add(key+".spectrum.socket.host", "", "must be set; 0.0.0.0 is all addresses")
	}
	if e.Idle < Duration(time.Second) || e.Idle > Duration(time.Hour) {
		ps.add(key+".idle", "", "%s is not from 1s to 1h", e.Idle)
	}
	if !strings.HasPrefix(e.Spectrum.Socket.Path, "/") {
		ps.add(key+".spectrum.socket.path", "", "%q does not begin with /", e.Spectrum.Socket.Path)
	}
	if p := e.FanOut.Path; p != "" && (!filepath.IsAbs(p) || len(p) > maxSocketPath) {
		ps.add(key+".fanout.path", "", "%q is no absolute path of at most %d bytes", p, maxSocketPath)
	}
}

// earsEnv are the reference's names. A device there is auto, one of ALSA, or a part of a name.
var earsEnv = []legacy{
	{"AUDIO_DEVICE_NAME", "ears.microphone", func(v string) string {
		v = strings.TrimSpace(v)
		switch low := strings.ToLower(v); {
		case slices.Contains([]string{"", "auto", "pulse", "default"}, low):
			return "auto"
		case strings.HasPrefix(low, "hw:"): // few devices do 16 kHz themselves
			return "arecord:plug" + v
		case strings.HasPrefix(low, "plughw:"):
			return "arecord:" + v
		}
		return "name:" + v
	}},
	{"AUDIO_FANOUT_PATH", "ears.fanout.path", nil},
	{"FFT_PUBLISH", "ears.spectrum.publish", nil}, {"FFT_BINS", "ears.spectrum.bins", nil}, {"FFT_RATE_HZ", "ears.spectrum.rate", nil},
	{"FFT_WS_ENABLE", "ears.spectrum.socket.enabled", nil}, {"FFT_WS_HOST", "ears.spectrum.socket.host", nil},
	{"FFT_WS_PORT", "ears.spectrum.socket.port", nil}, {"FFT_WS_PATH", "ears.spectrum.socket.path", nil},
}
