package dialogue

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// atOnce is how many scripts run side by side when -parallel does not say. They wait for the time
// to pass, mostly: more than there are processors is no burden.
const atOnce = 8

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := f.Value.Set(strconv.Itoa(atOnce)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // a leftover in the temporary directory harms nobody
	}
}

// program is the path of the program to judge: TARSD_BIN, or built once.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.path = os.Getenv("TARSD_BIN"); built.path != "" {
			built.path, built.err = filepath.Abs(built.path)
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "tarsd-dialogue"); built.err != nil {
			return
		}
		built.path, built.err = daemon.Build(context.Background(), filepath.Join("..", ".."), "./cmd/tarsd", filepath.Join(built.dir, "tarsd"))
	})
	require.NoError(t, built.err)
	return built.path
}
