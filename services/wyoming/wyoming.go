package wyoming

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/stt/recognise"
	"github.com/tarsd/tarsd/services/tts/voice"
)

var (
	_ services.Service = (*Server)(nil)
	_ services.Checker = (*Server)(nil)
)

// Options of New.
type Options struct {
	Listen      string // tcp://HOST:PORT or unix:///PATH; empty: the service does nothing
	Connections int    // at once, 1 to 1000

	// What is offered; nil for what is not.
	ASR  *ASR
	TTS  *TTS
	Wake *Wake
}

// Recogniser is a part of recognise.Engine.
type Recogniser interface {
	Begin(ctx context.Context, u recognise.Utterance) (recognise.Stream, error)
	Close() error
}

// ASR is speech to text.
type ASR struct {
	Program proto.ASRProgram
	// Open makes the recogniser for one run, which closes it.
	Open func() (Recogniser, error)
}

// TTS is text to speech.
type TTS struct {
	// Program lists the voices: the first is the robot's own, which is asked for without a name.
	Program proto.TTSProgram
	// Engines makes the engines for one run, which closes them; as tts.Options has it.
	Engines func() (engines []voice.Engine, absent []error)
	Voice   string        // that of the robot's own
	Lang    string        // when a text asks for none
	Silence time.Duration // an engine that gives nothing for that long has failed
}

// Detector hears a wake word in one stream of sound.
type Detector interface {
	// Process takes the next openwakeword.ChunkSamples samples and says how likely the phrase has just
	// been spoken, from 0 to 1.
	Process(chunk []int16) float32
}

// Wake is the wake word.
type Wake struct {
	Program   proto.WakeProgram        // of one model
	Open      func() (Detector, error) // makes one for each stream
	Threshold float32                  // the score that is a detection
}

// Times of a connection.
const (
	idleTime  = 5 * time.Minute        // a peer that sends nothing for that long is dropped
	writeTime = 10 * time.Second       // the same for one that takes nothing
	grace     = 300 * time.Millisecond // to end an answer when the service stops
)

// Server is the service. New makes it, Run runs it.
type Server struct {
	o    Options
	addr proto.Address // to listen at
}

// New checks the options.
func New(o Options) (*Server, error) {
	s := &Server{o: o}
	if o.Listen == "" {
		return s, nil
	}
	var err error
	if s.addr, err = proto.ParseAddress(o.Listen); err != nil {
		return nil, err
	}
	if s.addr.Network == "stdio" {
		return nil, errors.New("wyoming: listen is tcp://HOST:PORT or unix:///PATH")
	}
	if o.Connections < 1 || o.Connections > 1000 {
		return nil, fmt.Errorf("wyoming: connections: %d is not from 1 to 1000", o.Connections)
	}
	if o.TTS != nil && len(o.TTS.Program.Voices) == 0 || o.Wake != nil && len(o.Wake.Program.Models) != 1 {
		return nil, errors.New("wyoming: a program without a voice, or a model")
	}
	return s, nil
}

// Name implements services.Service.
func (s *Server) Name() string { return "wyoming" }

// Check implements services.Checker.
func (s *Server) Check(context.Context) []services.Finding {
	if s.o.Listen == "" {
		return nil
	}
	f := services.Finding{Verdict: services.Fine, Text: "peers can connect to " + s.o.Listen}
	if !s.local() {
		f.Verdict, f.Text = services.Warning, f.Text+": whoever reaches that address can use the robot's ears and mouth, since the protocol has no passwords"
	}
	return []services.Finding{f}
}

// local reports whether only this machine can connect.
func (s *Server) local() bool {
	if s.addr.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(s.addr.Addr)
	ip, ierr := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || ierr == nil && ip.IsLoopback())
}

// Run implements services.Service.
func (s *Server) Run(ctx context.Context, rt services.Runtime) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if s.o.Listen == "" {
		wg.Go(rt.Ready)
		<-ctx.Done()
		return nil
	}
	ctx, cancel := context.WithCancel(ctx) // for Ready, when this fails
	defer cancel()
	l, err := proto.Listen(s.addr)
	if err != nil {
		return err
	}
	h, absent := s.open(rt.Log)
	rt.Log.Info().Stringer("address", l.Addr()).AnErr("err", absent).Msg("wyoming peers can connect")
	wg.Go(func() {
		rt.Ready()
		if absent == nil {
			return
		}
		if err := rt.Bus.Health(ctx, true, "not everything is offered", absent); err != nil && ctx.Err() == nil {
			rt.Log.Debug().Err(err).Msg("health not published")
		}
	})
	server := proto.Server{
		Handle: h.handle, Connections: s.o.Connections, Grace: grace, Log: rt.Log,
		Conn: proto.Options{Limits: limits(), ReadTime: idleTime, WriteTime: writeTime},
	}
	return errors.Join(server.Serve(ctx, l), h.close())
}

// limits are tighter than those towards peers of ours: who connects may be anybody.
func limits() proto.Limits {
	return proto.Limits{Header: 64 << 10, Data: 256 << 10, Payload: 256 << 10}
}

// open makes the engines of one run. absent says what cannot be had, and is not offered then.
func (s *Server) open(log zerolog.Logger) (h *host, absent error) {
	h = &host{o: s.o, log: log}
	if a := h.o.ASR; a != nil {
		r, err := a.Open()
		if err != nil {
			absent, h.o.ASR = fmt.Errorf("asr: %w", err), nil
		} else {
			h.recogniser = r
			h.info.ASR = []proto.ASRProgram{a.Program}
		}
	}
	if t := h.o.TTS; t != nil {
		engines, missing := t.Engines()
		chain := voice.NewChain(engines, missing, t.Silence)
		absent = errors.Join(absent, chain.Err())
		if len(engines) > 0 {
			h.voices = chain
			h.info.TTS = []proto.TTSProgram{t.Program}
		}
	}
	if w := h.o.Wake; w != nil {
		if _, err := w.Open(); err != nil {
			absent, h.o.Wake = errors.Join(absent, fmt.Errorf("wake: %w", err)), nil
		} else {
			h.info.Wake = []proto.WakeProgram{w.Program}
		}
	}
	return h, absent
}

// host has the engines of one run, which all connections share.
type host struct {
	o          Options
	log        zerolog.Logger
	recogniser Recogniser
	voices     *voice.Chain
	info       proto.Info
}

func (h *host) close() error {
	var errs []error
	if h.recogniser != nil {
		errs = append(errs, h.recogniser.Close())
	}
	if h.voices != nil {
		errs = append(errs, h.voices.Close())
	}
	return errors.Join(errs...)
}

// langOf is the language of a voice: the first that its list has.
func (h *host) langOf(name string) string {
	voices := h.o.TTS.Program.Voices
	if i := slices.IndexFunc(voices, func(v proto.Model) bool { return v.Name == name }); i >= 0 && len(voices[i].Languages) > 0 {
		return voices[i].Languages[0]
	}
	return ""
}
