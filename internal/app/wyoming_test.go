package app

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
	proto "github.com/tarsd/tarsd/internal/wyoming"
)

// TestWyoming: a peer has the built-in voice speak, in the tarsd that an owner starts.
func TestWyoming(t *testing.T) {
	t.Parallel()
	if !flite.BuiltIn() {
		t.Skip("make assets")
	}
	address := "unix://" + filepath.Join(t.TempDir(), "w.sock")
	begin(t, load(t, t.TempDir(), "services=wyoming", "wyoming.listen="+address, "tts.engines=flite"))
	a, err := proto.ParseAddress(address)
	require.NoError(t, err)
	var c *proto.Conn
	require.Eventually(t, func() bool {
		c, err = proto.Dial(t.Context(), a, proto.Options{ReadTime: 30 * time.Second, WriteTime: 30 * time.Second})
		return err == nil
	}, 10*time.Second, 5*time.Millisecond)
	defer c.Close()
	require.NoError(t, c.Write(t.Context(), proto.Event{Type: proto.TypeDescribe}))
	ev, err := c.Read(t.Context())
	require.NoError(t, err)
	var info proto.Info
	require.NoError(t, ev.Decode(&info))
	require.Len(t, info.TTS, 1)
	voices := info.TTS[0].Voices
	assert.Equal(t, "tars", voices[0].Name)
	assert.Len(t, voices, 1+len(flite.Voices()))
	assert.Equal(t, "test", voices[0].Version)
	said := map[string]int{}
	var sound []proto.Event
	for _, v := range voices {
		require.NoError(t, c.Write(t.Context(), proto.New(proto.TypeSynthesize, proto.Synthesize{Text: "What time is it?", Voice: &proto.SynthesizeVoice{Name: v.Name}})))
		for ev.Type = ""; ev.Type != proto.TypeAudioStop; {
			ev, err = c.Read(t.Context())
			require.NoError(t, err)
			require.NotEqual(t, proto.TypeError, ev.Type, "%s", ev.Data)
			said[v.Name] += len(ev.Payload)
			if v.Name == "rms" {
				sound = append(sound, ev)
			}
		}
	}
	assert.Greater(t, said["tars"], 16000, "half a second")
	assert.Equal(t, said["slt"], said["tars"], "the robot's own voice is the configured one")
	assert.NotEqual(t, said["slt"], said["rms"])

	if !pocketsphinx.BuiltIn() {
		t.Skip("the robot's own ear: make assets")
	}
	require.NoError(t, c.Write(t.Context(), proto.New(proto.TypeTranscribe, proto.Transcribe{Language: "en"})))
	for _, ev := range sound {
		require.NoError(t, c.Write(t.Context(), ev))
	}
	ev, err = c.Read(t.Context())
	require.NoError(t, err)
	var heard proto.Transcript
	require.NoError(t, ev.Decode(&heard))
	assert.Equal(t, "what time is it", heard.Text)
}

// TestWyomingOffers: what of the robot's ear is there is offered.
func TestWyomingOffers(t *testing.T) {
	t.Parallel()
	if _, err := openwakeword.Open(); err != nil {
		t.Skip("make assets: ", err)
	}
	p := parts{cfg: config.Default()}
	p.cfg.Wyoming.Listen = "tcp://127.0.0.1:0"
	p.cfg.TTS.Engines = []string{"espeak-ng", "flite"}
	assert.Len(t, offerTTS(p).Program.Voices, 1, "the voices of flite are not those of espeak-ng")
	head := openwakeword.NewHead("hey tars", 0.5, 4)
	w := offerWake(p, head)
	assert.Equal(t, "hey_tars", w.Program.Models[0].Name)
	assert.Equal(t, "hey tars", w.Program.Models[0].Phrase)
	for range 2 {
		d, err := w.Open()
		require.NoError(t, err)
		for range 10 {
			d.Process(make([]int16, openwakeword.ChunkSamples))
		}
	}
	p.head = func() (*openwakeword.Head, error) { return head, nil }
	p.cfg.STT.Engines, p.cfg.STT.Wyoming.Address = []string{"wyoming"}, "tcp://127.0.0.1:1"
	r, err := offerASR(p).Open()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	p.cfg.STT.Engines = []string{"none such"}
	_, err = offerASR(p).Open()
	require.ErrorContains(t, err, "none such")
	_, err = makeWyoming(p)
	require.NoError(t, err)
	var log bytes.Buffer
	p.log = zerolog.New(&log)
	p.head = func() (*openwakeword.Head, error) { return nil, openwakeword.ErrHead }
	_, err = makeWyoming(p)
	require.NoError(t, err, "the rest is offered all the same")
	assert.Contains(t, log.String(), openwakeword.ErrHead.Error())
}
