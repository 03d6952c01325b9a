package audio

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/jfreymuth/pulse/proto"
)

// Device is something to play on, or to listen to.
type Device struct {
	Spec    string // as OpenSink or OpenSource takes it
	Name    string // for people
	Out     bool   // a speaker
	Default bool   // what its server takes when none is named
}

// Devices lists what this machine has. What could not be asked is told by the error; the list holds
// the rest.
func Devices(ctx context.Context) ([]Device, error) {
	list, err := pulseDevices(ctx, "")
	for _, out := range []bool{true, false} {
		alsa, aerr := alsaDevices(ctx, command{}, out)
		list, err = append(list, alsa...), errors.Join(err, aerr)
	}
	return list, err
}

// pulseDevices asks a sound server.
func pulseDevices(ctx context.Context, server string) ([]Device, error) {
	p, err := dialPulse(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("pulse: %w", err)
	}
	defer p.close()
	var info proto.GetServerInfoReply
	var sinks proto.GetSinkInfoListReply
	var sources proto.GetSourceInfoListReply
	err = errors.Join(p.request(&proto.GetServerInfo{}, &info), p.request(&proto.GetSinkInfoList{}, &sinks), p.request(&proto.GetSourceInfoList{}, &sources))
	if err != nil {
		return nil, fmt.Errorf("pulse: %w", err)
	}
	if server != "" {
		server = "@" + server
	}
	var list []Device
	for _, s := range sinks {
		list = append(list, Device{"pulse:" + s.SinkName + server, pulseName(s.Device, s.Properties), true, s.SinkName == info.DefaultSinkName})
	}
	for _, s := range sources {
		list = append(list, Device{"pulse:" + s.SourceName + server, pulseName(s.Device, s.Properties), false, s.SourceName == info.DefaultSourceName})
	}
	return list, nil
}

// pickMicrophone finds the first microphone whose name, or spec, has text in it, in whatever case. What
// a speaker plays is a microphone only if there is no other.
func pickMicrophone(list []Device, text string) (Device, error) {
	var names []string
	var monitor *Device
	text = strings.ToLower(text)
	for i := range list {
		d := &list[i]
		if d.Out {
			continue
		}
		names = append(names, d.Name)
		switch {
		case text == "" || !strings.Contains(strings.ToLower(d.Name), text) && !strings.Contains(strings.ToLower(d.Spec), text):
		case !strings.Contains(d.Spec, ".monitor"):
			return *d, nil
		case monitor == nil:
			monitor = d
		}
	}
	if monitor != nil {
		return *monitor, nil
	}
	return Device{}, fmt.Errorf("%w: none of the microphones (%s) has %q in its name", ErrNoDevice, strings.Join(names, ", "), text)
}

// pulseName returns what a device is called.
func pulseName(name string, props proto.PropList) string {
	if d, ok := props["device.description"]; ok && d.String() != "" {
		return d.String()
	}
	return name
}

// anyCard returns an error if aplay or arecord knows no card: they would start, and fail only when
// there is sound.
func anyCard(ctx context.Context, run command, out bool) error {
	list, err := alsaDevices(ctx, run, out)
	if err == nil && len(list) == 0 {
		return fmt.Errorf("%w: no card that could be used", ErrNoDevice)
	}
	return err
}

// alsaLine is how aplay -l and arecord -l tell of a device.
var alsaLine = regexp.MustCompile(`^card (\d+): .*\[(.*)\], device (\d+): .*\[(.*)\]$`)

// alsaDevices asks aplay or arecord. They are named by plughw, which converts what the hardware
// cannot do itself.
func alsaDevices(ctx context.Context, run command, out bool) ([]Device, error) {
	name := "arecord"
	if out {
		name = "aplay"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, run.path(name), "-l")
	cmd.WaitDelay = time.Second
	text, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) { // without a sound card too
		return nil, fmt.Errorf("%s: %w: %s", name, ErrNoDevice, strings.TrimSpace(string(failed.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrNoDevice, err)
	}
	var list []Device
	for line := range strings.Lines(string(text)) {
		if m := alsaLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			list = append(list, Device{Spec: fmt.Sprintf("%s:plughw:%s,%s", name, m[1], m[3]), Name: m[2] + ", " + m[4], Out: out})
		}
	}
	return list, nil
}
