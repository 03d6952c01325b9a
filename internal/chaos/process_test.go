package chaos

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/cutproxy"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// brokerEnv makes this test's binary a service in a process of its own.
const brokerEnv = "TARSD_CHAOS_BROKER"

var tarsd string // the binary, built by TestMain

func TestMain(m *testing.M) {
	var code int
	var err error
	if url := os.Getenv(brokerEnv); url != "" {
		err = elsewhere(url)
	} else {
		code, err = buildAndRun(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "tarsd-chaos-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if tarsd, err = daemon.Build(context.Background(), "../..", "./cmd/tarsd", filepath.Join(dir, "tarsd")); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// elsewhere runs the service echo at a broker until SIGTERM.
func elsewhere(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	sup, err := services.New(services.Options{
		Services: []services.Service{&echo{seen: map[string]int{}}}, Log: log,
		Connect: func(name string, log zerolog.Logger) (*client.Client, error) {
			return client.Connect(ctx, client.Options{URL: url, ID: "tars-" + name, Name: name, Log: log, Heartbeat: heartbeat})
		},
	})
	if err != nil {
		return err
	}
	if err := sup.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	end, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return sup.Stop(end)
}

// echo says what it hears, and how often it has heard it.
type echo struct {
	mu   sync.Mutex
	seen map[string]int
}

func (*echo) Name() string { return "echo" }

// Run implements services.Service.
func (e *echo) Run(ctx context.Context, rt services.Runtime) error {
	_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
		e.mu.Lock()
		e.seen[m.Data.Text]++
		say := contract.Say{Text: fmt.Sprintf("%s %d", m.Data.Text, e.seen[m.Data.Text])}
		e.mu.Unlock()
		_, err := client.Publish(ctx, rt.Bus, contract.TTSSay, say, client.WithID(m.ID))
		return err
	})
	if err != nil {
		return err
	}
	rt.Ready()
	<-ctx.Done()
	return nil
}

// A service in another process is cut off and comes back: a proxy that resets and refuses.
func TestServiceInAnotherProcess(t *testing.T) {
	t.Parallel()
	addr, err := daemon.FreeAddr()
	require.NoError(t, err)
	startBroker(t, addr)
	proxy := cutproxy.Start(t, cutproxy.TCP(func() string { return addr }))
	talk(t, addr, func(env string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), env+proxy.Addr())
		return cmd
	}, func() {
		proxy.Refuse(true)
		proxy.Cut()
	}, func() { proxy.Refuse(false) })
}

// A service on another host is cut off and comes back: a network of its own, whose cable is pulled.
func TestServiceInAnotherNetwork(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip command")
	}
	ns := "tarsd-" + strconv.Itoa(os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		t.Skipf("no network namespace here: %s", out)
	}
	t.Cleanup(func() { ip(t, "netns", "del", ns) }) // and with it both ends of the cable
	near, far := fmt.Sprintf("tt%d", os.Getpid()), fmt.Sprintf("tu%d", os.Getpid())
	prefix := fmt.Sprintf("198.18.%d.", rand.IntN(256)) // a range for such tests
	ip(t, "link", "add", near, "type", "veth", "peer", "name", far, "netns", ns)
	ip(t, "addr", "add", prefix+"1/30", "dev", near)
	ip(t, "link", "set", near, "up")
	ip(t, "-n", ns, "addr", "add", prefix+"2/30", "dev", far)
	ip(t, "-n", ns, "link", "set", far, "up")
	addr := prefix + "1:1883"
	startBroker(t, addr)
	talk(t, addr, func(env string) *exec.Cmd {
		cmd := exec.Command("ip", "netns", "exec", ns, os.Args[0])
		cmd.Env = append(os.Environ(), env+addr)
		return cmd
	}, func() { ip(t, "-n", ns, "link", "set", far, "down") }, func() { ip(t, "-n", ns, "link", "set", far, "up") })
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %s: %s", strings.Join(args, " "), out)
}

// startBroker runs a broker's process until the test ends.
func startBroker(t *testing.T, addr string) *daemon.Daemon {
	t.Helper()
	d, err := daemon.Start(daemon.Options{Command: daemon.Tarsd(tarsd, t.TempDir(), addr), Addr: addr})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the broker:\n%s", d.Log())
		}
		d.Kill()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, d.Ready(ctx))
	return d
}

// talk speaks to echo in a process of its own at a steady rate, cuts it off for longer than it
// takes to notice, and lets it back. Everything is answered once, and health tells the story.
func talk(t *testing.T, addr string, process func(env string) *exec.Cmd, cut, restore func()) {
	t.Helper()
	me := servicetest.Connect(t, client.Options{URL: "mqtt://" + addr, ID: "tester", Name: "tester", Log: zerolog.Nop()})
	health := servicetest.Collect(t, me, contract.Health.At("echo"))
	answers := servicetest.Collect(t, me, contract.TTSSay)
	event := func(want string) {
		t.Helper()
		health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.Event != nil && *m.Data.Event == want })
	}
	cmd := process(brokerEnv + "=mqtt://")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended unless the test failed
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of the service:\n%s", log.String())
		}
	})
	event("ready")

	asked := 0
	ask := func(d time.Duration) {
		t.Helper()
		for end := time.Now().Add(d); time.Now().Before(end); asked++ {
			_, err := client.Publish(t.Context(), me, contract.STTFinal, contract.FinalTranscript{Text: "n" + strconv.Itoa(asked), Lang: "en", IsFinal: true})
			require.NoError(t, err)
			<-time.After(5 * time.Millisecond)
		}
	}
	ask(time.Second)
	cut()
	ask(heartbeat*3 + time.Second)
	restore()
	t0 := time.Now()
	event("reconnected")
	took := time.Since(t0)
	assert.Less(t, took, backWithin)
	ask(time.Second)

	got := map[string]int{}
	for range asked {
		got[answers.Next(t).Data.Text]++
	}
	for n := range asked {
		assert.Equal(t, 1, got[fmt.Sprintf("n%d 1", n)], "answers to n%d, heard once", n)
	}
	t.Logf("%d asked and answered; back %s after the network was", asked, took.Round(time.Millisecond))
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	event("shutdown")
	assert.NoError(t, cmd.Wait())
	assert.Zero(t, answers.Len(), "nothing came twice")
}

// The program itself with a service of its own and a broker elsewhere: no port, no data, the same
// story on the health topic.
func TestTarsdWithoutABroker(t *testing.T) {
	t.Parallel()
	addr, err := daemon.FreeAddr()
	require.NoError(t, err)
	startBroker(t, addr)
	proxy := cutproxy.Start(t, cutproxy.TCP(func() string { return addr }))
	me := servicetest.Connect(t, client.Options{URL: "mqtt://" + addr, ID: "tester", Name: "tester", Log: zerolog.Nop()})
	health := servicetest.Collect(t, me, contract.Health.At("llm"))
	event := func(want string) {
		t.Helper()
		health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.Event != nil && *m.Data.Event == want })
	}
	dir := filepath.Join(t.TempDir(), "data")
	d, err := daemon.Start(daemon.Options{Command: []string{tarsd, "run", "--services", "llm", "--data", dir, "--broker", "mqtt://me:hunter2@" + proxy.Addr()}})
	require.NoError(t, err)
	t.Cleanup(d.Kill)
	event("ready")
	proxy.Cut()
	event("reconnected")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	took, err := d.Stop(ctx)
	require.NoError(t, err, "%s", d.Log())
	assert.Less(t, took, 3*time.Second)
	event("shutdown")
	assert.NoFileExists(t, dir)
	assert.NotContains(t, d.Log(), "hunter2")
	assert.Contains(t, d.Log(), "mqtt://me:***@")
}
