// Command camera measures tarsd's camera: one process with a source of 30 pictures a second of 640
// by 480 pixels, which go to MQTT, to five viewers of /camera/stream of which one reads nothing, and
// to /camera/snapshot once a second. It prints CPU, memory, and the age of pictures when a viewer
// has them.
//
//	go build -o tarsd ./cmd/tarsd && go run ./bench/camera -tarsd ./tarsd
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tarsd/tarsd/services/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tarsd := flag.String("tarsd", "./tarsd", "the program")
	seconds := flag.Int("seconds", 20, "of each measurement")
	flag.Parse()
	for _, source := range []string{"test", "mjpeg"} {
		if err := measure(ctx, os.Stdout, *tarsd, source, time.Duration(*seconds)*time.Second); err != nil {
			fmt.Fprintln(os.Stderr, "camera:", err)
			os.Exit(1)
		}
	}
}

const (
	fps     = 30
	viewers = 5 // the last one reads nothing
)

// measure runs one tarsd.
func measure(ctx context.Context, w io.Writer, program, source string, d time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "camera-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if source == "mjpeg" {
		if source, err = serve(ctx, w); err != nil {
			return err
		}
	}
	mqtt, web := freePort(), freePort()
	cmd := exec.CommandContext(ctx, program, "run", "--data", dir, "--listen", "tcp://"+mqtt, "--http", web, "--services", "camera",
		"--set", "camera.source="+source, "--set", "camera.fps="+strconv.Itoa(fps), "--set", "limits.buffer_bytes=16MiB")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		_ = cmd.Wait()
	}()
	if err := ready(ctx, web); err != nil {
		return err
	}
	name := source
	if source != "test" {
		name = "MJPEG over HTTP, passed on"
	}
	fmt.Fprintf(w, "source: %s\n", name)
	for _, looked := range []bool{false, true} {
		r := &results{}
		life, end := context.WithCancel(ctx)
		var wg sync.WaitGroup
		if looked {
			if err := r.all(life, &wg, mqtt, web); err != nil {
				end()
				return err
			}
			pause(ctx, 2*time.Second) // connections, the feed, and the heap's first growth
		}
		r.reset()
		cpu0, t0 := cpu(cmd.Process.Pid), time.Now()
		pause(ctx, d)
		used, took, memory := cpu(cmd.Process.Pid)-cpu0, time.Since(t0), rss(cmd.Process.Pid)
		r.print(w, looked, used, took, memory)
		end()
		wg.Wait()
	}
	return ctx.Err()
}

// results are what viewers see.
type results struct {
	mu        sync.Mutex
	ages      []time.Duration
	mqtt      atomic.Int64
	snapshots atomic.Int64
	missed    atomic.Int64 // snapshots
}

func (r *results) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ages = nil
	r.mqtt.Store(0)
	r.snapshots.Store(0)
}

func (r *results) print(w io.Writer, looked bool, used, took time.Duration, memory int) {
	load := 100 * used.Seconds() / took.Seconds()
	if !looked {
		fmt.Fprintf(w, "  nobody looks:   CPU %.1f %% of one core, memory %d MiB\n", load, memory>>20)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.ages)
	at := func(q float64) time.Duration { return r.ages[min(int(q*float64(len(r.ages))), len(r.ages)-1)] }
	per := took.Seconds() * fps
	fmt.Fprintf(w, "  all look:       CPU %.1f %% of one core, %.2f ms a picture, memory %d MiB\n", load, 1e3*used.Seconds()/per, memory>>20)
	if len(r.ages) == 0 {
		fmt.Fprintln(w, "  no pictures")
		return
	}
	fmt.Fprintf(w, "  viewers:        %.1f pictures a second each; age median %.1f ms, p99 %.1f ms, longest %.1f ms\n",
		float64(len(r.ages))/took.Seconds()/(viewers-1), ms(at(0.5)), ms(at(0.99)), ms(at(1)))
	fmt.Fprintf(w, "  camera/jpeg:    %.1f messages a second; snapshots: %d, %d missed\n", float64(r.mqtt.Load())/took.Seconds(), r.snapshots.Load(), r.missed.Load())
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// all begins to look in every way.
func (r *results) all(ctx context.Context, wg *sync.WaitGroup, mqtt, web string) error {
	c, err := client.Connect(ctx, client.Options{URL: "mqtt://" + mqtt, ID: "bench", NoHealth: true, SessionExpiry: -1})
	if err != nil {
		return err
	}
	if _, err := c.SubscribeRaw("camera/jpeg", 0, func(context.Context, client.RawMessage) error {
		r.mqtt.Add(1)
		return nil
	}); err != nil {
		return err
	}
	wg.Go(func() {
		<-ctx.Done()
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = c.Close(short)
	})
	for range viewers - 1 {
		wg.Go(func() { r.watch(ctx, web) })
	}
	wg.Go(func() { stall(ctx, web) })
	wg.Go(func() {
		for ctx.Err() == nil {
			if resp, err := get(ctx, web, "/camera/snapshot"); err == nil && resp.StatusCode == http.StatusOK {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				r.snapshots.Add(1)
			} else if ctx.Err() == nil {
				r.missed.Add(1)
			}
			pause(ctx, time.Second)
		}
	})
	return nil
}

func get(ctx context.Context, web, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+web+path, nil)
	if err != nil {
		return nil, err
	}
	return http.DefaultClient.Do(req)
}

// watch reads a stream.
func (r *results) watch(ctx context.Context, web string) {
	for ctx.Err() == nil {
		resp, err := get(ctx, web, "/camera/stream?fps="+strconv.Itoa(fps))
		if err != nil {
			continue
		}
		in := multipart.NewReader(resp.Body, "tarsd-picture")
		for {
			p, err := in.NextRawPart()
			if err != nil {
				break
			}
			n, err := strconv.ParseInt(p.Header.Get("Content-Length"), 10, 64)
			if err != nil {
				break
			}
			if _, err := io.CopyN(io.Discard, p, n); err != nil {
				break
			}
			taken, err := strconv.ParseFloat(p.Header.Get("X-Timestamp"), 64)
			if err != nil {
				break
			}
			age := time.Duration(math.Round((float64(time.Now().UnixMicro())/1e6 - taken) * 1e9))
			r.mu.Lock()
			r.ages = append(r.ages, age)
			r.mu.Unlock()
		}
		resp.Body.Close()
	}
}

// stall asks for a stream and reads nothing of it, again and again as it is given up.
func stall(ctx context.Context, web string) {
	for ctx.Err() == nil {
		nc, err := net.Dial("tcp", web) //nolint:noctx // closed below
		if err != nil {
			return
		}
		fmt.Fprintf(nc, "GET /camera/stream?fps=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", fps)
		pause(ctx, 15*time.Second)
		nc.Close()
	}
}

// serve is a camera that sends one noisy picture of 640 by 480 pixels.
func serve(ctx context.Context, out io.Writer) (string, error) {
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	dice := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a picture
	for i := range 640 * 480 {
		x, y := i%640, i/640
		img.Set(x, y, color.RGBA{uint8(x/4) + uint8(dice.IntN(64)), uint8(y / 2), uint8(dice.IntN(96)), 255}) //nolint:gosec // wraps as it likes
	}
	var b strings.Builder
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 80}); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		return "", err
	}
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=f")
		tick := time.NewTicker(time.Second / fps)
		defer tick.Stop()
		for {
			fmt.Fprintf(w, "--f\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", b.Len(), b.String())
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	})}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	go func() { _ = srv.Serve(ln) }() // ends with ctx
	fmt.Fprintf(out, "a picture has %d kB\n", b.Len()/1000)
	return "http://" + ln.Addr().String() + "/", nil
}

// ready waits for the process.
func ready(ctx context.Context, web string) error {
	for range 200 {
		if resp, err := get(ctx, web, "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		pause(ctx, 50*time.Millisecond)
	}
	return errors.New("tarsd is not ready")
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func freePort() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		panic(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// cpu is the time that a process has used.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // in 1/100 s
}

// rss is the memory of a process in bytes.
func rss(pid int) int {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if rest, ok := strings.CutPrefix(in.Text(), "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n << 10
		}
	}
	return 0
}
