package audio

import (
	"bytes"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPulsePlaysAll: what is drained has been heard to the last sample, unchanged.
func TestPulsePlaysAll(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	rec := exec.Command("parec", "-s", b.server(), "-d", "speaker.monitor", "--raw", "--rate=16000", "--channels=1", "--format=s16le", "--latency-msec=20")
	var out bytes.Buffer
	rec.Stdout = &out
	require.NoError(t, rec.Start())
	<-time.After(300 * time.Millisecond) // it says nothing when it records
	s, err := OpenSink(t.Context(), "pulse:speaker@"+b.server(), Rate)
	require.NoError(t, err)
	want := sweep(Rate/2, Rate, 8000)
	begin := time.Now()
	play(t, s, want)
	took := time.Since(begin)
	require.NoError(t, s.Close())
	<-time.After(100 * time.Millisecond)
	require.NoError(t, rec.Process.Signal(syscall.SIGINT))
	rec.Wait()
	got := AppendSamples(nil, out.Bytes())
	_, alike := align(want, got)
	assert.Greater(t, alike, 0.99)
	assert.InDelta(t, 1, energy(got)/energy(want), 0.01)
	assert.GreaterOrEqual(t, took, 490*time.Millisecond, "drained before it was played")
}
