package router

import (
	"slices"
	"strconv"
	"time"
)

// commanded moves the robot if the whole utterance is a motion, or several joined by "and" or
// "then".
func (d *dialogue) commanded(now time.Time, t *turn, all []string, means string) bool {
	parts := d.motions(all)
	if len(parts) == 1 && parts[0].name == resumeMotion {
		d.latched = false
		d.do(release{t})
		d.answer(now, t, "I can move again.", neutral)
		return true
	}
	if parts == nil && means != "" {
		parts = []motionPart{{name: means}}
	}
	if parts == nil {
		return false
	}
	d.history.add(t.origin, user, t.text, now)
	if up, known := d.voiced["movement"]; known && !up {
		d.fail(now, t, "motion")
		return true
	}
	for i, p := range parts {
		id := motionID + t.utt
		if i > 0 {
			id += "-" + strconv.Itoa(i+1)
		}
		d.do(move{turn: t, command: p.name, speed: p.speed, requestID: id})
		if len(d.steps) < maxAsking {
			d.steps[id] = t.utt
		}
	}
	d.moving = now.Add(d.o.MotionLimit)
	d.completed(now, t)
	return true
}

// resumeMotion is the meaning of phrases that take the latch of an emergency stop away.
const resumeMotion = "resume"

type motionPart struct {
	name  string
	speed float64
}

// maxMotions bounds what one sentence can ask for.
const maxMotions = 5

// motions splits an utterance at its conjunctions; nil unless every part is a motion.
func (d *dialogue) motions(ws []string) []motionPart {
	if name, speed := d.commands.match(ws); name != "" {
		return []motionPart{{name, speed}}
	}
	var parts []motionPart
	for len(ws) > 0 {
		end := slices.IndexFunc(ws, func(w string) bool { return w == "and" || w == "then" })
		if end < 0 {
			end = len(ws)
		}
		if end > 0 {
			name, speed := d.commands.match(ws[:end])
			if name == "" || name == resumeMotion || len(parts) == maxMotions {
				return nil
			}
			parts = append(parts, motionPart{name, speed})
		}
		ws = ws[min(end+1, len(ws)):]
	}
	return parts
}

// maxAsking bounds the motions whose end is waited for.
const maxAsking = 64

// motion notes whether the robot moves, and says why a motion that was asked for in words failed.
func (d *dialogue) motion(now time.Time, event, requestID string) {
	over := true
	switch event {
	case "started", "command_started", "frame_sent":
		d.moving, over = now.Add(d.o.MotionLimit), false
	case "completed", "failed", "cancelled", "command_completed", "command_failed", "queue_full":
		d.moving = time.Time{}
	case "emergency_stop":
		d.moving, d.latched = time.Time{}, true
	case "stop_cleared":
		d.latched = false
	}
	utt, ours := d.steps[requestID]
	if !ours || !over {
		return
	}
	delete(d.steps, requestID)
	if event != "failed" && event != "command_failed" && event != "queue_full" {
		return
	}
	for id, u := range d.steps { // once for all of an utterance
		if u == utt {
			delete(d.steps, id)
		}
	}
	kind := "motion"
	if d.latched {
		kind = "stopped"
	}
	d.do(saySpeech{utt: requestID, text: d.o.Errors[kind], style: neutral})
}

// motionID begins the request ids of motions that were asked for in words.
const motionID = "mv-"
