package dialogue

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/llmtest"
)

// within bounds every wait. It is generous: other jobs may own the processors for a while.
const within = 20 * time.Second

// services are those that run in the process; the rest of the robot is played.
const services = "memory,llm,router,movement"

// quick are the limits of the dialogue and of the model's service in tests, and what takes time
// at the start and is not needed by most.
func quick() []string {
	return []string{
		"log.level=info", "router.announce=false", "router.meaning=false", "memory.embedder=words",
		"router.wake_window=4s", "router.response_window=4s", "router.interrupt_window=4s",
		"router.think_limit=6s", "router.stall_limit=4s", "router.speech_limit=4s",
		"llm.provider=openai", "llm.connect_timeout=1s", "llm.first_timeout=5s", "llm.idle_timeout=3s", "llm.turn_timeout=10s",
	}
}

// robot is one tarsd with all that it talks to: the model's server, the speech service, and one
// peer for everything that people do.
type robot struct {
	t     testing.TB
	bin   string
	dir   string // data
	addr  string
	set   []string
	model *llmtest.Server
	d     *daemon.Daemon
	watch *watcher
	voice *speaker // nil: nobody speaks
	peer  *client.Client
}

// newRobot starts everything and waits until the services are ready.
func newRobot(t testing.TB, mute bool, set ...string) *robot {
	t.Helper()
	addr, err := daemon.FreeAddr()
	require.NoError(t, err)
	r := &robot{t: t, bin: program(t), dir: t.TempDir(), addr: addr, model: llmtest.Start(t)}
	r.set = append(append(quick(), "llm.url="+r.model.URL), set...)
	t.Cleanup(func() {
		if r.d != nil {
			r.d.Kill()
			if t.Failed() {
				t.Logf("log of tarsd:\n%s", r.d.Log())
			}
		}
	})
	r.launch()
	r.watch = watch(t, r.client("dialogue-watch", "watch", true))
	if !mute {
		r.voice = newSpeaker(t, r.client("tars-tts", "tts", false))
	}
	r.peer = r.client("dialogue-peer", "peer", true)
	r.ready(0)
	return r
}

func (r *robot) launch() {
	r.t.Helper()
	o := daemon.Options{Addr: r.addr, Command: []string{
		r.bin, "run", "--services", services, "--http", "off", "--data", r.dir, "--listen", "tcp://" + r.addr, "--set", "access.anonymous=true",
	}}
	for _, s := range r.set {
		o.Command = append(o.Command, "--set", s)
	}
	d, err := daemon.Start(o)
	require.NoError(r.t, err)
	r.d = d
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	require.NoError(r.t, d.Ready(ctx))
}

// client connects a peer that comes back at once when the broker was away.
func (r *robot) client(id, name string, silent bool) *client.Client {
	r.t.Helper()
	c, err := client.Connect(context.Background(), client.Options{
		URL: "mqtt://" + r.addr, ID: id, Name: name, NoHealth: silent, Log: zerolog.Nop(), BackoffMin: 20 * time.Millisecond, BackoffMax: 100 * time.Millisecond,
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx) // the broker may be gone
	})
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	require.NoError(r.t, c.Await(ctx))
	return c
}

// ready waits until all services have said so, after the event at from.
func (r *robot) ready(from int) {
	r.t.Helper()
	for _, name := range []string{"memory", "llm", "router", "movement"} {
		r.watch.find(r.t, from, "health", func(e event) bool { return e.id == name && e.text == "up" })
	}
	if r.voice != nil { // the router knows too that there is a voice
		r.watch.find(r.t, from, "health", func(e event) bool { return e.id == "tts" && e.text == "up" })
	}
}

// stop ends the process as its owner does, or by force.
func (r *robot) stop(kill bool) {
	r.t.Helper()
	r.watch.away(kill)
	if kill {
		r.d.Kill()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := r.d.Stop(ctx)
	require.NoError(r.t, err)
}

// start starts it again with the same data, and waits for the services and for the peers.
func (r *robot) start() {
	r.t.Helper()
	from := r.watch.len()
	r.launch()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	require.NoError(r.t, r.peer.Await(ctx))
	require.NoError(r.t, r.watch.c.Await(ctx))
	r.ready(from)
	r.watch.back()
}

// send publishes as a peer.
func send[T any](r *robot, t contract.Topic[T], data T, opts ...client.PublishOption) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, err := client.Publish(ctx, r.peer, t, data, opts...)
	require.NoError(r.t, err)
}

// hear is a transcript from a microphone.
func (r *robot) hear(origin, utt, text string) {
	r.t.Helper()
	f := contract.New[contract.FinalTranscript]()
	f.Text, f.UttID = text, &utt
	send(r, contract.STTFinal, f, client.WithProps(client.UserProperty{Key: "origin", Value: origin}))
}

// write is a text from a keyboard.
func (r *robot) write(origin, text string) {
	r.t.Helper()
	send(r, contract.DialogueText, contract.TypedText{Text: text, Origin: &origin})
}

// wake is an event of the wake service.
func (r *robot) wake(kind string) {
	r.t.Helper()
	send(r, contract.WakeEvent, contract.Wake{Type: kind})
}
