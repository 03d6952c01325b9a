package robot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// otherTools are camera, status, time and speech. The robot's own model speaks by answering, so that
// it is not offered the two for speech.
func (r *Robot) otherTools() []tool.Tool {
	return []tool.Tool{
		{
			Server: Other, Name: "robot_status", Do: r.status, Timeout: 2 * time.Second, Schema: object(nil),
			Doc: "Tell how the robot's parts are, what it does now, and whether an emergency stop is in force.",
		},
		{
			Server: Other, Name: "current_time", Do: r.now, Timeout: time.Second, Schema: object(nil),
			Doc: "Tell date, time and weekday where the robot is.",
		},
		{
			Server: Other, Name: "camera_snapshot", Do: r.snapshot, Timeout: answerWait + 2*time.Second,
			Doc: "Take a picture with the robot's camera.",
			Schema: object(fields{
				{"width", whole("Width in pixels; 1024 if absent.", 64, 1920)},
				{"purpose", text("What for.", 200)},
			}),
		},
		{
			Server: Other, Name: "say", Writes: true, Outside: true, Do: r.say, Timeout: 5 * time.Second,
			Doc:    "Let the robot say something aloud to the people around it.",
			Schema: object(fields{{"text", text("What to say, as spoken words.", 1000)}}, "text"),
		},
		{
			Server: Other, Name: "stop_speaking", Writes: true, Outside: true, Do: r.hush, Timeout: 5 * time.Second, Schema: object(nil),
			Doc: "Let the robot fall silent.",
		},
	}
}

func (r *Robot) status(ctx context.Context, _ tool.Args) (tool.Result, error) {
	r.await(ctx, func() bool { return false })
	peers := r.health()
	r.mu.Lock()
	motion := r.motion
	r.mu.Unlock()
	var b strings.Builder
	parts := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(peers)) {
		p, state := peers[name], "ok"
		if !p.OK {
			state = "down"
			if why := contract.Value(p.Err) + contract.Value(p.Event); why != "" {
				state = "down (" + tool.Cut(why, 120) + ")"
			}
		}
		parts[name] = state
		fmt.Fprintf(&b, "%s: %s\n", name, state)
	}
	data := map[string]any{"parts": parts}
	if motion != nil {
		m := map[string]any{"backend": motion.Backend, "ready": motion.Ready}
		fmt.Fprintf(&b, "motion by %s, ready: %t", motion.Backend, motion.Ready)
		for _, x := range []struct {
			key  string
			text *string
		}{{"reason", motion.Reason}, {"emergency_stop", motion.Stopped}, {"command", motion.Command}} {
			if x.text != nil {
				m[x.key] = *x.text
				fmt.Fprintf(&b, ", %s: %s", x.key, *x.text)
			}
		}
		data["motion"] = m
	}
	if b.Len() == 0 {
		b.WriteString("No part of the robot has been heard of.")
	}
	return tool.Result{Text: strings.TrimRight(b.String(), "\n"), Data: data}, nil
}

func (r *Robot) now(context.Context, tool.Args) (tool.Result, error) {
	t := time.Now().In(r.o.Location)
	return tool.Result{Text: t.Format("Monday, 2 January 2006, 15:04 MST"), Data: map[string]any{"time": t.Format(time.RFC3339)}}, nil
}

func (r *Robot) snapshot(ctx context.Context, args tool.Args) (tool.Result, error) {
	if err := r.need(ctx, "camera", "camera", "tars-camera"); err != nil {
		return tool.Result{}, err
	}
	c := contract.New[contract.Capture]()
	c.RequestID, c.Width, c.Quality = client.NewID(), new(int(args.Number("width", 1024))), 80
	if p := args.Text("purpose"); p != "" {
		c.Purpose = &p
	}
	img, err := ask(ctx, r, contract.CameraCapture, contract.CameraImage, c)
	switch {
	case err != nil:
		return tool.Result{}, err
	case !img.Success || len(img.ImageData) == 0:
		return tool.Result{}, fmt.Errorf("no picture: %s", contract.Value(img.Error))
	}
	mime := "image/jpeg"
	if img.Format == "png" {
		mime = "image/png"
	}
	return tool.Result{
		Text:   fmt.Sprintf("A picture of %d by %d pixels was taken.", img.Width, img.Height),
		Data:   map[string]any{"width": img.Width, "height": img.Height, "format": img.Format, "size_bytes": len(img.ImageData), "request_id": img.RequestID},
		Images: []tool.Image{{Data: img.ImageData, MIME: mime}},
	}, nil
}

func (r *Robot) say(ctx context.Context, args tool.Args) (tool.Result, error) {
	if err := r.need(ctx, "voice", "tts", "tars-tts"); err != nil {
		return tool.Result{}, err
	}
	s := contract.Say{Text: args.Text("text"), UttID: new(client.NewID()), SystemAnnounce: new(true)}
	if strings.TrimSpace(s.Text) == "" {
		return tool.Result{}, errors.New("the text is blank")
	}
	if _, err := client.Publish(ctx, r.o.Bus, contract.TTSSay, s, client.WithExpiry(time.Minute)); err != nil {
		return tool.Result{}, fmt.Errorf("it was not said: %w", err)
	}
	return tool.Result{Text: "It is being said.", Data: map[string]any{"success": true, "utt_id": *s.UttID}}, nil
}

func (r *Robot) hush(ctx context.Context, _ tool.Args) (tool.Result, error) {
	c := contract.SpeechControl{Action: contract.ActionStop, Reason: "tool"}
	if _, err := client.Publish(ctx, r.o.Bus, contract.TTSControl, c, client.WithExpiry(5*time.Second)); err != nil {
		return tool.Result{}, fmt.Errorf("it was not sent: %w", err)
	}
	return tool.Result{Text: "Silence was asked for.", Data: map[string]any{"success": true}}, nil
}
