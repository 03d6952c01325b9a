package app

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/web"
)

// The camera on the HTTP port is a client of camera/jpeg like any other, so that it does not matter
// where the camera is. Who may subscribe to that topic may look.

// Demand for pictures while somebody looks.
const (
	viewEvery = time.Second
	viewHold  = 3 * time.Second // one lost message does not end it
)

// webCamera makes the camera's part of the HTTP port; nil if there is to be none.
func (a *App) webCamera(may web.May) (*web.Camera, error) {
	if a.cfg.Camera.Viewers == 0 {
		return nil, nil //nolint:nilnil // no camera is no error
	}
	o, err := a.clientOptions()
	if err != nil {
		return nil, err
	}
	log := a.log.With().Str("part", "web").Logger()
	return web.NewCamera(web.CameraOptions{
		Feed: func(ctx context.Context, rate func() float64, put func(web.Picture)) error {
			return feed(ctx, o, log, rate, put)
		},
		May: may, Viewers: a.cfg.Camera.Viewers, Log: log,
	}), nil
}

// stopCamera has the streams end before the server waits for them.
func (a *App) stopCamera(cam *web.Camera) {
	if cam != nil {
		a.onStop("camera streams", func(ctx context.Context) error { return within(ctx, cam.Close) })
	}
}

// feed brings pictures from camera/jpeg until ctx ends, and keeps asking for them.
func feed(ctx context.Context, o client.Options, log zerolog.Logger, rate func() float64, put func(web.Picture)) error {
	o.ID, o.Name, o.Log, o.NoHealth, o.Heartbeat, o.SessionExpiry = "tarsd-web-"+client.NewID()[:8], "web", log, true, -1, -1
	c, err := client.Connect(context.WithoutCancel(ctx), o)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			log.Debug().Err(err).Msg("camera's client not closed")
		}
	}()
	_, err = c.SubscribeRaw(contract.CameraJPEG.Name, 0, func(_ context.Context, m client.RawMessage) error {
		if p, ok := picture(&m); ok {
			put(p)
		}
		return nil
	}, client.Queue(1, client.DropOldest))
	if err != nil {
		return err
	}
	if err := c.Ready(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		if fps := rate(); fps > 0 {
			v := contract.ViewCamera{FPS: fps, HoldMS: int(viewHold.Milliseconds())}
			if _, err := client.Publish(ctx, c, contract.CameraView, v); err != nil {
				log.Debug().Err(err).Msg("camera not asked for pictures")
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// picture reads a message of camera/jpeg. Whatever is not a JPEG is none: browsers get what is in it.
func picture(m *client.RawMessage) (web.Picture, bool) {
	if m.Retained || !bytes.HasPrefix(m.Payload, []byte{0xFF, 0xD8, 0xFF}) {
		return web.Picture{}, false
	}
	p := web.Picture{JPEG: m.Payload}
	for _, prop := range m.Props {
		f, err := strconv.ParseFloat(prop.Value, 64)
		good := err == nil && f >= 0 && f < 1e10
		switch {
		case prop.Key == contract.PropStale:
			if p.Stale, p.Age = true, -1; good && f < 1e9 { // else there never was a picture
				p.Age = time.Duration(f * float64(time.Second))
			}
		case prop.Key == contract.PropTaken && good:
			p.Taken = time.UnixMilli(int64(f * 1e3))
		case prop.Key == contract.PropNumber && good:
			p.Number = int(f)
		}
	}
	return p, true
}

// mayLook decides about a request as the broker decides about a client that subscribes to
// camera/jpeg.
func (a *App) mayLook(r *http.Request) (int, func() bool) {
	topic := contract.CameraJPEG.Name
	status, p := a.signIn(r, topic, func(p *delivery.Peer) bool { return a.policy.MaySubscribe(p, topic) })
	return status, func() bool { return a.policy.Current(p) && !signedOut(p) }
}

// mayLookHere is mayLook of a process without a broker, which knows no users: this machine may look.
func (a *App) mayLookHere(r *http.Request) (int, func() bool) {
	remote, ok := broker.Remote(r)
	tcp, is := remote.(*net.TCPAddr)
	if !ok || is && !tcp.IP.IsLoopback() && a.cfg.Access.Anonymous != config.AnonymousAll {
		return http.StatusForbidden, nil
	}
	return 0, func() bool { return true }
}
