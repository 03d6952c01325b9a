package audio

import (
	"context"
	"fmt"

	"github.com/jfreymuth/pulse/proto"
)

// pulseSource records from a sound server, which brings the sound to 16 kHz mono.
type pulseSource struct {
	p   *pulseConn
	box *inbox
	pcm []int16 // for data alone
}

func openPulseSource(ctx context.Context, arg string) (Source, error) {
	name, server := pulseTarget(arg)
	p, err := dialPulse(ctx, server)
	if err != nil {
		return nil, err
	}
	s := &pulseSource{p: p}
	if s.box, err = newInbox(Rate, DefaultDepth); err == nil {
		err = s.record(name)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return s, nil
}

// record begins.
func (s *pulseSource) record(name string) error {
	q := &proto.CreateRecordStream{
		SampleSpec:         proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 1, Rate: Rate},
		ChannelMap:         proto.ChannelMap{proto.ChannelMono},
		ChannelVolumes:     proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		SourceIndex:        proto.Undefined,
		SourceName:         name,
		BufferMaxLength:    2 * Rate, // bytes: a second
		BufferFragSize:     2 * FrameLen,
		AdjustLatency:      true,
		DirectOnInputIndex: proto.Undefined,
		Corked:             true, // until its sound has somewhere to go
		Properties:         proto.PropList{"media.name": proto.PropListString("microphone")},
	}
	var r proto.CreateRecordStreamReply
	if err := s.p.request(q, &r); err != nil {
		return fmt.Errorf("%w: record from %q: %w", ErrNoDevice, name, err)
	}
	if err := s.p.join(r.StreamIndex, s); err != nil {
		return err
	}
	return s.p.request(&proto.CorkRecordStream{StreamIndex: r.StreamIndex}, nil)
}

func (s *pulseSource) request(int) {}

func (s *pulseSource) data(b []byte) {
	s.pcm = AppendSamples(s.pcm[:0], b)
	s.box.put(s.pcm)
}

func (s *pulseSource) killed(reason error) { s.box.q.end(reason) }

func (s *pulseSource) Read(ctx context.Context) (Frame, error) { return s.box.q.next(ctx) }

func (s *pulseSource) Close() error {
	s.p.close()
	return nil
}
