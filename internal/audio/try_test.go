package audio

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTry(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	at := "@" + b.Server()
	trial, err := Try(t.Context(), "pulse:speaker"+at, "pulse:speaker.monitor"+at)
	require.NoError(t, err)
	assert.True(t, trial.Heard())
	assert.Greater(t, trial.Alike, 0.99)
	assert.Less(t, trial.Noise.DBFS(), -60.0)
	assert.InDelta(t, -15.3, trial.Loud.DBFS(), 0.5)
	assert.Less(t, trial.Delay, 500*time.Millisecond)
	deaf, err := Try(t.Context(), "pulse:speaker"+at, "pulse:mic.monitor"+at)
	require.NoError(t, err)
	assert.False(t, deaf.Heard())
	_, err = Try(t.Context(), "pulse:none"+at, "pulse:mic.monitor"+at)
	require.ErrorIs(t, err, ErrNoDevice)
	_, err = Try(t.Context(), "none", "wav:"+filepath.Join(t.TempDir(), "x"))
	require.Error(t, err)
}
