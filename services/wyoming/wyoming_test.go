package wyoming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/stt/recognise"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// tone is an engine that hums 100 samples for each letter.
type tone struct {
	rate  int
	fail  error
	mu    sync.Mutex
	said  []voice.Text
	ended chan struct{} // closed when a text that says "for ever" is given up
}

func (e *tone) ID() string   { return "tone" }
func (e *tone) Close() error { return nil }

func (e *tone) Speak(ctx context.Context, t voice.Text, emit func(voice.Sound) error) error {
	e.mu.Lock()
	e.said = append(e.said, t)
	fail := e.fail
	e.mu.Unlock()
	if fail != nil {
		return fail
	}
	for n := 0; n < len(t.Text) || strings.Contains(t.Text, "for ever"); n++ {
		if err := emit(voice.Sound{Rate: e.rate, PCM: hum(100)}); err != nil {
			if e.ended != nil {
				close(e.ended)
			}
			return err
		}
	}
	return nil
}

// breaks has it fail from now on.
func (e *tone) breaks(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = err
}

func (e *tone) texts() []voice.Text {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]voice.Text(nil), e.said...)
}

func hum(n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(float64(i)/5))
	}
	return pcm
}

// scribe is a recogniser that writes down how much it heard.
type scribe struct {
	open   atomic.Int32 // streams
	fail   string       // begin, feed or finish
	slow   time.Duration
	closed atomic.Bool
}

func (r *scribe) Begin(_ context.Context, u recognise.Utterance) (recognise.Stream, error) {
	if r.fail == "begin" {
		return nil, errors.New("no ear today")
	}
	r.open.Add(1)
	return &notes{r: r, lang: u.Lang}, nil
}

func (r *scribe) Close() error { r.closed.Store(true); return nil }

type notes struct {
	r    *scribe
	lang string
	n    int
	loud int16
}

func (s *notes) Feed(_ context.Context, pcm []int16) error {
	s.n += len(pcm)
	for _, v := range pcm {
		s.loud = max(s.loud, v)
	}
	if s.r.fail == "feed" {
		return errors.New("no ear today")
	}
	return nil
}

func (s *notes) Partial(context.Context) (string, error) { return "", nil }

func (s *notes) Finish(context.Context) (recognise.Result, error) {
	<-time.After(s.r.slow)
	if s.r.fail == "finish" {
		return recognise.Result{}, errors.New("no ear today")
	}
	return recognise.Result{Text: fmt.Sprintf("%d samples up to %d in %q", s.n, (int(s.loud)+50)/100, s.lang)}, nil
}

func (s *notes) Close() error { s.r.open.Add(-1); return nil }

// loudness is a detector that hears a word in any loud chunk.
type loudness struct{}

func (loudness) Process(chunk []int16) float32 {
	if len(chunk) != wakeChunk {
		panic(len(chunk))
	}
	var top int16
	for _, v := range chunk {
		top = max(top, v)
	}
	return float32(top) / 32768
}

// offer is everything, by the engines given.
func offer(t *testing.T, e *tone, r *scribe) Options {
	t.Helper()
	model := func(name, lang string) proto.Model {
		return proto.Model{Artifact: proto.Artifact{Name: name, Installed: true}, Languages: []string{lang}}
	}
	return Options{
		Listen: "unix://" + filepath.Join(t.TempDir(), "w.sock"), Connections: 10,
		ASR: &ASR{Program: proto.ASRProgram{Artifact: proto.Artifact{Name: "ear"}, Models: []proto.Model{model("tiny", "en")}}, Open: func() (Recogniser, error) { return r, nil }},
		TTS: &TTS{
			Program: proto.TTSProgram{Artifact: proto.Artifact{Name: "mouth"}, Voices: []proto.Model{model("tars", "en"), model("case", "de")}, Streaming: true},
			Engines: func() ([]voice.Engine, []error) { return []voice.Engine{e}, nil }, Voice: "own", Lang: "en", Silence: 10 * time.Second,
		},
		Wake: &Wake{
			Program:   proto.WakeProgram{Artifact: proto.Artifact{Name: "wake"}, Models: []proto.WakeModel{{Model: model("hey_tars", "en"), Phrase: "hey tars"}}},
			Open:      func() (Detector, error) { return loudness{}, nil },
			Threshold: 0.2,
		},
	}
}

// run runs the service, and returns what dials it.
func run(t *testing.T, o Options) func() *peer {
	t.Helper()
	s, err := New(o)
	require.NoError(t, err)
	servicetest.Start(t).Run(t, s)
	return func() *peer {
		nc, err := net.Dial(s.addr.Network, s.addr.Addr)
		require.NoError(t, err)
		c := proto.NewConn(nc, proto.Options{ReadTime: 10 * time.Second, WriteTime: 10 * time.Second})
		t.Cleanup(func() { assert.NoError(t, c.Close()) })
		return &peer{t, c, nc}
	}
}

// peer is a connection to the service.
type peer struct {
	t   *testing.T
	c   *proto.Conn
	raw io.Writer // the same
}

func (p *peer) send(kind string, data any) {
	p.t.Helper()
	require.NoError(p.t, p.c.Write(p.t.Context(), proto.New(kind, data)))
}

func (p *peer) sound(rate, channels int, pcm []int16) {
	p.t.Helper()
	ev := proto.Chunk(rate, pcm)
	ev.Data = proto.New("", proto.Format{Rate: rate, Width: 2, Channels: channels}).Data
	require.NoError(p.t, p.c.Write(p.t.Context(), ev))
}

// next reads an event of a type, and its data into v.
func (p *peer) next(kind string, v any) proto.Event {
	p.t.Helper()
	ev, err := p.c.Read(p.t.Context())
	require.NoError(p.t, err)
	require.Equal(p.t, kind, ev.Type, "%s", ev.Data)
	if v != nil {
		require.NoError(p.t, ev.Decode(v))
	}
	return ev
}

// heard reads the sound of one text: its rate, and how many samples.
func (p *peer) heard() (rate, samples int) {
	p.t.Helper()
	var f proto.Format
	p.next(proto.TypeAudioStart, &f)
	for {
		ev, err := p.c.Read(p.t.Context())
		require.NoError(p.t, err)
		if ev.Type == proto.TypeAudioStop {
			return f.Rate, samples
		}
		require.Equal(p.t, proto.TypeAudioChunk, ev.Type)
		g, err := ev.Format()
		require.NoError(p.t, err)
		assert.Equal(p.t, f, g)
		assert.LessOrEqual(p.t, len(ev.Payload), f.Rate/10*2)
		samples += len(ev.Payload) / 2
	}
}

// fails reads an error, and the end.
func (p *peer) fails(want string) {
	p.t.Helper()
	for {
		ev, err := p.c.Read(p.t.Context())
		require.NoError(p.t, err)
		if ev.Type == proto.TypeError {
			require.ErrorContains(p.t, ev.PeerError(), want)
			break
		}
	}
	_, err := p.c.Read(p.t.Context())
	require.Error(p.t, err)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	o := offer(t, &tone{rate: 16000}, &scribe{})
	p := run(t, o)()
	p.send(proto.TypeDescribe, nil)
	var info proto.Info
	p.next(proto.TypeInfo, &info)
	assert.Equal(t, proto.Info{ASR: []proto.ASRProgram{o.ASR.Program}, TTS: []proto.TTSProgram{o.TTS.Program}, Wake: []proto.WakeProgram{o.Wake.Program}}, info)
	p.send("from-the-future", map[string]int{"x": 1})
	p.send("select-program", map[string]string{"name": "mouth"})
	p.send(proto.TypePing, proto.Ping{Text: "still there?"})
	var pong proto.Ping
	p.next(proto.TypePong, &pong)
	assert.Equal(t, "still there?", pong.Text)
}

func TestTranscribe(t *testing.T) {
	t.Parallel()
	r := &scribe{}
	dial := run(t, offer(t, &tone{rate: 16000}, r))
	for name, v := range map[string]struct {
		rate, channels int
		start          bool
		want           string
	}{
		"as we like it": {16000, 1, true, `48000 samples up to 80 in "en"`},
		"no start":      {16000, 1, false, `48000 samples up to 80 in "en"`},
		"stereo":        {16000, 2, true, `24000 samples up to 80 in "en"`},
		"48 kHz":        {48000, 1, true, `16000 samples up to 80 in "en"`},
		"8 kHz":         {8000, 1, true, `96000 samples up to 80 in "en"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial()
			for range 2 { // a connection may ask again
				p.send(proto.TypeTranscribe, proto.Transcribe{Language: "en"})
				if v.start {
					p.send(proto.TypeAudioStart, proto.Format{Rate: v.rate, Width: 2, Channels: v.channels})
				}
				for range 48 {
					p.sound(v.rate, v.channels, wave(1000, v.channels))
				}
				p.send(proto.TypeAudioStop, proto.At{})
				var got proto.Transcript
				p.next(proto.TypeTranscript, &got)
				assert.Equal(t, proto.Transcript{Text: v.want, Language: "en"}, got)
			}
		})
	}
	p := dial()
	p.send(proto.TypeAudioStop, nil) // of nothing
	p.send(proto.TypeAudioStart, proto.Mono16(16000))
	p.send(proto.TypeAudioStart, proto.Mono16(16000)) // anew
	p.sound(16000, 1, hum(320))
	p.send(proto.TypeAudioStop, nil)
	var got proto.Transcript
	p.next(proto.TypeTranscript, &got)
	assert.Equal(t, `320 samples up to 80 in ""`, got.Text, "without transcribe it is speech")
	p.send(proto.TypeAudioStart, proto.Mono16(16000))
	require.NoError(t, p.c.Close())
	require.Eventually(t, func() bool { return r.open.Load() == 0 }, 10*time.Second, time.Millisecond, "who goes leaves nothing")
}

// wave is a tone of n samples of each channel, the second of which is louder.
func wave(n, channels int) []int16 {
	pcm := make([]int16, 0, n*channels)
	for i := range n {
		v := int16(8000 * math.Sin(float64(i)*math.Pi/50))
		pcm = append(pcm, v)
		if channels == 2 {
			pcm = append(pcm, 2*v)
		}
	}
	return pcm[:n/channels*channels]
}

func TestDetect(t *testing.T) {
	t.Parallel()
	dial := run(t, offer(t, &tone{rate: 16000}, &scribe{}))
	quiet, loud := make([]int16, 1600), hum(1600)
	p := dial()
	p.send(proto.TypeDetect, proto.Detect{Names: []string{"hey_tars"}})
	p.send(proto.TypeAudioStart, proto.Mono16(16000))
	for _, pcm := range [][]int16{quiet, quiet, loud, loud, quiet} { // loud from 200 to 400 ms
		p.sound(16000, 1, pcm)
	}
	var d proto.Detection
	p.next(proto.TypeDetection, &d)
	assert.Equal(t, "hey_tars", d.Name)
	assert.Equal(t, int64(300), *d.Timestamp)
	for range 20 { // two seconds later the next one counts
		p.sound(16000, 1, quiet)
	}
	p.sound(16000, 1, loud)
	p.next(proto.TypeDetection, &d)
	assert.Equal(t, int64(2600), *d.Timestamp)
	p.send(proto.TypeAudioStop, nil)
	p.send(proto.TypePing, nil)
	p.next(proto.TypePong, nil)

	p.send(proto.TypeDetect, nil)
	p.send(proto.TypeAudioStart, proto.Mono16(48000))
	p.sound(48000, 1, quiet)
	p.send(proto.TypeAudioStop, nil)
	p.next(proto.TypeNotDetected, nil)
	p.send(proto.TypeDetect, proto.Detect{Names: []string{"alexa"}})
	p.send(proto.TypeAudioStart, proto.Mono16(16000))
	p.sound(16000, 1, loud)
	p.send(proto.TypeAudioStop, nil)
	p.next(proto.TypeNotDetected, nil)

	o := offer(t, &tone{rate: 16000}, nil)
	o.ASR = nil
	p = run(t, o)()
	p.sound(16000, 1, loud)
	p.next(proto.TypeDetection, nil)
}

func TestSynthesize(t *testing.T) {
	t.Parallel()
	e := &tone{rate: 22050}
	p := run(t, offer(t, e, &scribe{}))()
	for _, v := range []struct {
		text  string
		voice *proto.SynthesizeVoice
		want  []voice.Text
	}{
		{"Hello there.", nil, []voice.Text{{Text: "Hello there.", Voice: "own", Lang: "en"}}},
		{"**Hello** <b>there</b>. It is 3 km to the house!", &proto.SynthesizeVoice{Name: "tars"},
			[]voice.Text{{Text: "Hello there.", Voice: "own", Lang: "en"}, {Text: "It is three kilometres to the house!", Voice: "own", Lang: "en"}}},
		{"Guten Tag zusammen.", &proto.SynthesizeVoice{Name: "case"}, []voice.Text{{Text: "Guten Tag zusammen.", Voice: "case", Lang: "de"}}},
		{"Bonjour tout le monde.", &proto.SynthesizeVoice{Language: "fr"}, []voice.Text{{Text: "Bonjour tout le monde.", Voice: "own", Lang: "fr"}}},
		{"", nil, nil},
	} {
		before := len(e.texts())
		p.send(proto.TypeSynthesize, proto.Synthesize{Text: v.text, Voice: v.voice})
		rate, n := p.heard()
		said, letters := e.texts()[before:], 0
		require.Len(t, said, len(v.want), "%v", said)
		for i, s := range said {
			assert.Equal(t, v.want[i], s)
			letters += len(s.Text)
		}
		assert.Equal(t, 100*letters, n)
		if n > 0 {
			assert.Equal(t, 22050, rate)
		}
	}
}

// TestSynthesizeStream: each sentence is spoken when it is whole, and the text that is repeated at the
// end is not.
func TestSynthesizeStream(t *testing.T) {
	t.Parallel()
	e := &tone{rate: 16000}
	p := run(t, offer(t, e, &scribe{}))()
	p.send(proto.TypeSynthesizeChunk, proto.Synthesize{Text: "of nothing. Nothing at all. "})
	p.send(proto.TypeSynthesizeStop, nil)
	for range 2 {
		before := len(e.texts())
		p.send(proto.TypeSynthesizeStart, proto.Synthesize{Voice: &proto.SynthesizeVoice{Name: "case"}})
		for _, s := range []string{"This is the fir", "st sentence. This is ", "the second", " one, with 3.", "14 in it. "} {
			p.send(proto.TypeSynthesizeChunk, proto.Synthesize{Text: s})
		}
		_, n := p.heard()
		assert.Equal(t, 100*len("This is the first sentence."), n, "before the text is whole")
		p.send(proto.TypeSynthesize, proto.Synthesize{Text: "This is the first sentence. This is the second one, with 3.14 in it."})
		p.send(proto.TypeSynthesizeStop, nil)
		p.heard()
		p.next(proto.TypeSynthesizeStopped, nil)
		said := e.texts()[before:]
		require.Len(t, said, 2)
		assert.Equal(t, voice.Text{Text: "This is the first sentence.", Voice: "case", Lang: "de"}, said[0])
		assert.Equal(t, "This is the second one, with 3.14 in it.", said[1].Text)
	}
	p.send(proto.TypeSynthesizeStart, nil)
	p.send(proto.TypeSynthesizeStop, nil)
	p.next(proto.TypeSynthesizeStopped, nil)
	p.send(proto.TypeSynthesizeStart, nil)
	p.send(proto.TypeSynthesizeChunk, proto.Synthesize{Text: strings.Repeat("word ", 5000)})
	p.fails("more than 20000 bytes of text")
}

// TestFails: what cannot be done is an error to the peer, which is not left waiting.
func TestFails(t *testing.T) {
	t.Parallel()
	start := func(p *peer) { p.send(proto.TypeAudioStart, proto.Mono16(16000)) }
	stop := func(p *peer) { p.send(proto.TypeAudioStop, nil) }
	for name, v := range map[string]struct {
		change func(o *Options, r *scribe, e *tone)
		do     func(p *peer)
		want   string
	}{
		"garbage":     {nil, func(p *peer) { p.write("GET / HTTP/1.1\r\n") }, "invalid character 'G'"},
		"too large":   {nil, func(p *peer) { p.write("{\"type\":\"audio-chunk\",\"payload_length\":300000}\n") }, "too large"},
		"wrong rate":  {nil, func(p *peer) { p.send(proto.TypeAudioStart, proto.Mono16(100)) }, "sound that cannot be taken: 100 Hz"},
		"odd rate":    {nil, func(p *peer) { p.send(proto.TypeAudioStart, proto.Mono16(44101)) }, "too little in common"},
		"no format":   {nil, func(p *peer) { p.send(proto.TypeAudioStart, nil) }, "audio-start: no format"},
		"changes":     {nil, func(p *peer) { start(p); p.sound(16000, 2, hum(10)) }, "and is of 16000, 2, 2 now"},
		"begin":       {func(_ *Options, r *scribe, _ *tone) { r.fail = "begin" }, start, "no ear today"},
		"feed":        {func(_ *Options, r *scribe, _ *tone) { r.fail = "feed" }, func(p *peer) { start(p); p.sound(16000, 1, hum(10)) }, "no ear today"},
		"finish":      {func(_ *Options, r *scribe, _ *tone) { r.fail = "finish" }, func(p *peer) { start(p); stop(p) }, "no ear today"},
		"bad request": {nil, func(p *peer) { p.send(proto.TypeTranscribe, 7); start(p) }, "transcribe: json"},
		"bad detect":  {nil, func(p *peer) { p.send(proto.TypeDetect, 7); start(p) }, "detect: json"},
		"bad text":    {nil, func(p *peer) { p.send(proto.TypeSynthesize, 7) }, "synthesize: json"},
		"no ear":      {func(o *Options, _ *scribe, _ *tone) { o.ASR = nil }, func(p *peer) { p.send(proto.TypeTranscribe, nil); start(p) }, "no speech to text"},
		"no wake":     {func(o *Options, _ *scribe, _ *tone) { o.Wake = nil }, func(p *peer) { p.send(proto.TypeDetect, nil); start(p) }, "no wake word"},
		"no mouth":    {func(o *Options, _ *scribe, _ *tone) { o.TTS = nil }, func(p *peer) { p.send(proto.TypeSynthesize, nil) }, "no text to speech"},
		"no ear at all": {func(o *Options, _ *scribe, _ *tone) {
			o.ASR.Open = func() (Recogniser, error) { return nil, errors.New("no model") }
		}, func(p *peer) { p.send(proto.TypeTranscribe, nil); start(p) }, "no speech to text"},
		"no voice": {func(_ *Options, _ *scribe, e *tone) { e.fail = errors.New("no voice today") }, func(p *peer) { p.send(proto.TypeSynthesize, proto.Synthesize{Text: "Hello there."}) }, "no voice today"},
		"monologue": {nil, func(p *peer) {
			start(p)
			for range 121 { // until it has hung up
				if p.c.Write(p.t.Context(), proto.Chunk(16000, make([]int16, 16000))) != nil {
					return
				}
			}
		}, "more than 2m0s of sound"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, r := &tone{rate: 16000}, &scribe{}
			o := offer(t, e, r)
			if v.change != nil {
				v.change(&o, r, e)
			}
			p := run(t, o)()
			v.do(p)
			p.fails(v.want)
			require.Eventually(t, func() bool { return r.open.Load() == 0 }, 10*time.Second, time.Millisecond)
		})
	}
}

func (p *peer) write(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.raw, s)
	require.NoError(p.t, err)
}
