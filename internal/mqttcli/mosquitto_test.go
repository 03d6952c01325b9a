package mqttcli

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mosquitto starts the installed broker on a unix socket and returns the path.
func mosquitto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
		if _, err := os.Stat(path); err != nil {
			t.Skip("no mosquitto broker is installed")
		}
	}
	dir, err := os.MkdirTemp("", "mq") // t.TempDir can be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	conf := "listener 0 " + socket + "\nallow_anonymous true\nmax_queued_messages 0\nsys_interval 1\n"
	if os.Getuid() == 0 {
		conf += "user root\n" // else it gives up root and cannot make the socket
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c"), []byte(conf), 0o600))
	cmd := exec.Command(path, "-c", filepath.Join(dir, "c"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			nc.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "mosquitto does not start")
	return socket
}

// result is what a command did.
type result struct {
	code     int
	out, err string
}

// buffer is a bytes.Buffer for several goroutines, which tells when something was written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func ours(t *testing.T, f func(context.Context, []string, Streams) int, in string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errs buffer
	code := f(ctx, args, Streams{In: strings.NewReader(in), Out: &out, Err: &errs, Getenv: func(string) string { return "" }})
	return result{code, out.String(), errs.String()}
}

func theirs(t *testing.T, name, in string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errs
	_ = cmd.Run() // the exit code tells
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

func needClients(t *testing.T) {
	t.Helper()
	for _, name := range []string{"mosquitto_sub", "mosquitto_pub"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(name + " is not installed")
		}
	}
}

// clock replaces what differs between two runs a moment apart.
var clock = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6}Z)?`)

// Output, byte for byte, of the same messages with the same options.
func TestOutputIsMosquittos(t *testing.T) {
	needClients(t)
	each(t, sameOutput)
}

func sameOutput(t *testing.T, socket string) {
	payloads := map[string]string{
		"text":   "hello",
		"json":   `{"a": 1.50, "b":[1,2,{"x":null}], "c":"\u00fc\/é", "d":true, "e":{}, "f":[], "g":-0.0, "h":1e5, "i":0.1, "j":1.23456789012345678, "k":1e300}`,
		"quotes": "h \"q\" \\ /ü\ntab\t\x01\x1f\x7f",
		"number": " 5 ",
		"binary": "\x00\x01\xff\x80abc",
		"long":   strings.Repeat("abcdefghij", 30),
	}
	for name, p := range payloads {
		require.Zero(t, theirs(t, "mosquitto_pub", p, "--unix", socket, "-t", "out/"+name, "-r", "-q", "1", "-s").code)
	}
	formats := []string{
		"%t|%p|%l|%q|%r|%m|%%", "%x|%X", "%5l|%-5l|%05l|%-05l|%3m|%03m|", "%10t|%-10t|%.2t|%10.2t|%-10.2t|%.0t|%3.5t|",
		"%3p|%-9p|%09p|%-09p|%400p|", "%03x|%-20x|%020X|%6x|%700x|", "%A|%C|%D|%E|%F|%P|%R|%S|%10C|%10R|%5E|%05E|%-5E|%3F|%03A|%-10P|%4S|",
		`a@@b\\c\n\r\t\v\a\e\0d`, "%j", "@F @T|@% @E @O @q @-", "%I|%-40I|%40I|%.4I|%30.4I|",
		"@a @A @b @B @C @d @D @e @F @g @G @h @H @I @j @k @l @m @M @n @p @P @r @R @t @u @U @V @w @W @x @y @Y @z @Z",
	}
	type variant struct {
		name string
		args []string
	}
	variants := []variant{{"plain", nil}, {"verbose", []string{"-v"}}, {"no newline", []string{"-N"}},
		{"verbose no newline", []string{"-v", "-N"}}, {"json", []string{"-F", "%J"}}, {"pretty", []string{"-F", "%J", "--pretty"}},
		{"pretty text", []string{"-F", "%j", "--pretty"}}}
	for i, f := range formats {
		variants = append(variants, variant{fmt.Sprint("format ", i), []string{"-F", f}})
	}
	for i, version := range versions {
		for name := range payloads {
			for k, v := range variants {
				if i > 0 && k%4 != i {
					continue // the versions differ little: a part of it will do
				}
				if name == "binary" && strings.Contains(strings.Join(v.args, ""), "%j") {
					continue // mosquitto_sub 2.0 cuts the payload at the NUL; see TestJSONOfBinary
				}
				t.Run(version+"/"+name+"/"+v.name, func(t *testing.T) {
					args := append([]string{"--unix", socket, "-V", version, "-t", "out/" + name, "-q", "1", "-C", "1", "-W", "10"}, v.args...)
					var a, b result
					for range 3 { // the minute may change between the two
						a, b = theirs(t, "mosquitto_sub", "", args...), ours(t, Sub, "", args...)
						if a.out == b.out {
							break
						}
					}
					assert.Equal(t, a.code, b.code)
					assert.Equal(t, clock.ReplaceAllString(a.out, "T"), clock.ReplaceAllString(b.out, "T"))
					assert.Equal(t, a.err == "", b.err == "", "%q and %q", a.err, b.err)
				})
			}
		}
	}
}

// Properties of MQTT 5 in all ways to print them.
func TestPropertiesAreMosquittos(t *testing.T) {
	needClients(t)
	each(t, sameProperties)
}

func sameProperties(t *testing.T, socket string) {
	props := []string{"-D", "publish", "content-type", "ct", "-D", "publish", "user-property", "a", "b", "-D", "publish", "user-property", "a", "c",
		"-D", "publish", "payload-format-indicator", "1", "-D", "publish", "response-topic", "r/t", "-D", "publish", "correlation-data", "cd"}
	for _, sender := range []string{"theirs", "ours"} {
		args := append([]string{"--unix", socket, "-V", "5", "-t", "prop", "-r", "-q", "1", "-m", "x"}, props...)
		if sender == "ours" {
			require.Zero(t, ours(t, Pub, "", args...).code)
		} else {
			require.Zero(t, theirs(t, "mosquitto_pub", "", args...).code)
		}
		for _, f := range []string{"%A|%C|%D|%E|%F|%P|%R|%S", "%10C|%-10C|%10R|%.1C|%3F|%03F|%-3F|%10P|%3D|"} {
			args := []string{"--unix", socket, "-V", "5", "-t", "prop", "-C", "1", "-W", "10", "-F", f}
			assert.Equal(t, theirs(t, "mosquitto_sub", "", args...), ours(t, Sub, "", args...), "%s sent, %s", sender, f)
		}
		args = []string{"--unix", socket, "-V", "5", "-t", "prop", "-C", "1", "-W", "10", "-F", "%j"}
		a, b := theirs(t, "mosquitto_sub", "", args...), ours(t, Sub, "", args...)
		assert.Len(t, b.out, len(a.out), "the same but for the order: %s and %s", a.out, b.out)
		for _, part := range []string{`"content-type":"ct"`, `"user-properties":{"a":"b","a":"c"}`, `"response-topic":"r/t"`,
			`"payload-format-indicator":1`, `"correlation-data":"cd"`} {
			assert.Contains(t, a.out, part)
			assert.Contains(t, b.out, part)
		}
	}
}

// The ways in which mosquitto_pub takes a message arrive the same from ours.
func TestSourcesAreMosquittos(t *testing.T) {
	needClients(t)
	each(t, sameSources)
}

func sameSources(t *testing.T, socket string) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("from a\nfile\n"), 0o600))
	for _, c := range []struct {
		name, in string
		count    string
		args     []string
	}{
		{"message", "", "1", []string{"-m", "hello"}},
		{"message like an option", "", "1", []string{"-m", "-v"}},
		{"file", "", "1", []string{"-f", file}},
		{"stdin", "a\nb\n", "1", []string{"-s"}},
		{"lines", "a\n\nb\r\nlast", "4", []string{"-l"}},
		{"many lines", strings.Repeat("line\n", 500), "500", []string{"-l"}},
		{"null", "", "1", []string{"-n"}},
		{"repeat", "", "3", []string{"-m", "x", "--repeat", "3", "--repeat-delay", "0.01"}},
	} {
		for _, version := range versions {
			if version == "31" && c.name != "message" {
				continue // the same library and code as 3.1.1
			}
			for _, qos := range []string{"0", "1", "2"} {
				t.Run(c.name+"/"+version+"/"+qos, func(t *testing.T) {
					var got [2]string
					for i, send := range []func(args ...string) result{
						func(args ...string) result { return theirs(t, "mosquitto_pub", c.in, args...) },
						func(args ...string) result { return ours(t, Pub, c.in, args...) },
					} {
						sub := []string{"--unix", socket, "-V", version, "-t", "src", "-c", "-i", "src", "-q", "2"}
						require.Zero(t, ours(t, Sub, "", append(sub, "-E")...).code)
						r := send(append([]string{"--unix", socket, "-V", version, "-t", "src", "-q", qos}, c.args...)...)
						require.Zero(t, r.code, r.err)
						if qos == "0" { // not queued for those who are away
							ours(t, Sub, "", "--unix", socket, "-V", version, "-t", "src", "-i", "src", "-E")
							continue
						}
						// Not by mosquitto_sub: 2.0.11 stops at 20 messages of QoS 2 in a kept session of MQTT 5.
						got[i] = ours(t, Sub, "", append(sub, "-C", c.count, "-W", "10", "-F", "%t %q %r [%p]")...).out
						assert.Equal(t, c.count, fmt.Sprint(strings.Count(got[i], "src ")))
					}
					assert.Equal(t, got[0], got[1])
				})
			}
		}
	}
}

// Mistakes and endings give the same exit codes.
func TestExitCodesAreMosquittos(t *testing.T) {
	needClients(t)
	socket := mosquitto(t)
	for _, c := range []struct {
		cmd  string
		args []string
	}{
		{"sub", []string{"-t", "x", "-W", "1"}},
		{"sub", []string{"-t", "x", "-E"}},
		{"sub", []string{}},
		{"sub", []string{"-t", "a#"}},
		{"sub", []string{"-t", "x", "-q", "3"}},
		{"sub", []string{"-t", "x", "-C", "0"}},
		{"sub", []string{"-t", "x", "-F"}},
		{"sub", []string{"-t", "x", "-F", "%z"}},
		{"sub", []string{"-t", "x", "-F", `\z`}},
		{"sub", []string{"-t", "x", "-F", "%"}},
		{"sub", []string{"-t", "x", "-F", "%5"}},
		{"sub", []string{"-t", "x", "-F", "%.3"}},
		{"sub", []string{"-t", "x", "-F", `\`}},
		{"sub", []string{"-t", "x", "-F", `@`}},
		{"sub", []string{"-t", "x", "-c"}},
		{"sub", []string{"-t", "x", "-P", "p", "-V", "311"}},
		{"sub", []string{"-t", "x", "-R", "--retained-only"}},
		{"sub", []string{"-t", "x", "--bogus"}},
		{"sub", []string{"-t", "x", "-V", "6"}},
		{"sub", []string{"-t", "x", "--will-payload", "p"}},
		{"sub", []string{"-t", "x", "-k"}},
		{"pub", []string{"-t", "x"}},
		{"pub", []string{"-m", "x"}},
		{"pub", []string{"-t", "a/#", "-m", "x"}},
		{"pub", []string{"-t", "a", "-m", "x", "-n"}},
		{"pub", []string{"-t", "a", "-f", "/nonexistent/file"}},
		{"pub", []string{"-t", "a", "-m", "x", "-D", "publish", "content-type"}},
		{"pub", []string{"-t", "a", "-m", "x", "-D", "publish", "nonsense", "1"}},
	} {
		t.Run(c.cmd+" "+strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--unix", socket}, c.args...)
			f := map[string]func(context.Context, []string, Streams) int{"pub": Pub, "sub": Sub}[c.cmd]
			a, b := theirs(t, "mosquitto_"+c.cmd, "", args...), ours(t, f, "", args...)
			assert.Equal(t, a.code, b.code, "%s and %s", a.err, b.err)
			if a.code != 0 {
				assert.NotEmpty(t, b.err)
			}
		})
	}
}
