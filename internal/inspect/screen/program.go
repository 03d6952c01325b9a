package screen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/internal/inspect/feed"
)

// Bus is the feed, as far as the screen needs it.
type Bus interface {
	With(func(*inspect.Model))
	Status() feed.Status
	Publish(ctx context.Context, topic string, payload []byte, qos byte, retain bool) error
	Keeper(ctx context.Context, topic string) (feed.Keeper, bool)
}

var _ Bus = (*feed.Feed)(nil)

// frames a second at most. More cannot be read, and each takes the model away from the feed.
const (
	fps         = 20
	publishTime = 10 * time.Second
	keeperEvery = 2 * time.Second
)

// Run shows the screen on a terminal until somebody quits or ctx ends. Options are those of bubbletea,
// for tests: another terminal, another size.
func Run(ctx context.Context, bus Bus, in io.Reader, out io.Writer, o ...tea.ProgramOption) error {
	p := &program{ctx: func() context.Context { return ctx }, bus: bus, s: NewState()}
	o = append([]tea.ProgramOption{
		tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithFPS(fps), tea.WithoutSignalHandler(),
	}, o...)
	_, err := tea.NewProgram(p, o...).Run()
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) {
		err = nil // it was asked to end
	}
	return err
}

// program is bubbletea's model. All of it belongs to bubbletea's loop; commands work on copies.
type program struct {
	ctx     func() context.Context // of Run; commands are made where no caller has one
	bus     Bus
	s       *State
	frame   string
	version uint64
	second  int64
	asked   time.Time // when the keeper was asked for last, and of which topic
	of      string
}

// Messages of the program to itself.
type (
	tickMsg   time.Time
	keeperMsg struct{ k feed.Keeper }
	sentMsg   struct{ text string }
)

func tick() tea.Cmd {
	return tea.Tick(time.Second/fps, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// Init implements tea.Model.
func (p *program) Init() tea.Cmd {
	return tea.Batch(tick(), func() tea.Msg { return tea.RequestBackgroundColor() })
}

// Update implements tea.Model.
func (p *program) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	now := time.Now()
	var act action
	var cmd, keeper tea.Cmd
	_, ticked := msg.(tickMsg)
	status := p.bus.Status()
	p.bus.With(func(m *inspect.Model) {
		switch msg := msg.(type) {
		case tea.WindowSizeMsg:
			p.s.W, p.s.H = msg.Width, msg.Height
		case tea.BackgroundColorMsg:
			p.s.Dark = msg.IsDark()
		case tea.KeyPressMsg:
			act = p.s.key(m, msg, now)
		case tea.PasteMsg:
			p.s.paste(msg)
		case tea.MouseClickMsg:
			if msg.Button == tea.MouseLeft {
				p.s.click(m, msg.X, msg.Y)
			}
		case tea.MouseWheelMsg:
			p.s.scroll(m, msg.X, msg.Y, msg.Button == tea.MouseWheelUp)
		case keeperMsg:
			if p.s.selected != nil && p.s.selected.Path == msg.k.Topic {
				p.s.keeper = msg.k
			}
		case sentMsg:
			p.s.say(now, msg.text)
		}
		if ticked {
			keeper = p.askKeeper(now)
		}
		if ticked && m.Version() == p.version && now.Unix() == p.second {
			return // nothing is new
		}
		p.s.Status = status
		p.version, p.second = m.Version(), now.Unix()
		p.frame = Draw(m, p.s, now)
	})
	switch {
	case act.quit:
		return p, tea.Quit
	case len(act.send) > 0:
		cmd = p.send(act.send)
	}
	if ticked {
		cmd = tea.Batch(tick(), keeper)
	}
	return p, cmd
}

// View implements tea.Model.
func (p *program) View() tea.View {
	v := tea.NewView(p.frame)
	v.AltScreen, v.MouseMode = true, tea.MouseModeCellMotion
	v.WindowTitle = "tarsd --inspect"
	return v
}

// send publishes, one after the other, and tells what became of it.
func (p *program) send(list []outgoing) tea.Cmd {
	ctx := p.ctx()
	return func() tea.Msg {
		done := 0
		for _, o := range list {
			if err := p.publish(ctx, o); err != nil {
				return sentMsg{fmt.Sprintf("%d of %d sent: %s", done, len(list), err)}
			}
			done++
		}
		if o := list[0]; !o.retain || len(o.payload) > 0 {
			return sentMsg{"published on " + list[0].topic}
		}
		return sentMsg{fmt.Sprintf("%s cleared", plural(done, "retained message", "retained messages"))}
	}
}

// publish sends one. The time is of each: a thousand that are cleared may take a slow disk longer.
func (p *program) publish(ctx context.Context, o outgoing) error {
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	return p.bus.Publish(ctx, o.topic, o.payload, o.qos, o.retain)
}

// askKeeper finds out who left the retained message of the selected topic, now and again. The caller has
// the model.
func (p *program) askKeeper(now time.Time) tea.Cmd {
	n := p.s.selected
	if n == nil || !n.Retained || n.Path == p.of && now.Sub(p.asked) < keeperEvery {
		return nil
	}
	p.of, p.asked = n.Path, now
	ctx, topic := p.ctx(), n.Path
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, keeperEvery)
		defer cancel()
		if k, ok := p.bus.Keeper(ctx, topic); ok {
			return keeperMsg{k}
		}
		return nil
	}
}
