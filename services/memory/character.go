package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/memory/persona"
)

// character is the persona and what was changed of its traits. mu guards file and changed.
type character struct {
	o     Options
	store Store
	log   zerolog.Logger

	mu      sync.Mutex
	file    persona.Persona
	changed map[string]int
}

// newCharacter loads the persona. With an error it is usable all the same.
func newCharacter(o Options, log zerolog.Logger) (*character, error) {
	c := &character{o: o, store: o.Traits, log: log, changed: map[string]int{}}
	v, found, err := c.store.Get(c.key())
	if err == nil && found {
		err = json.Unmarshal(v, &c.changed)
	}
	if err != nil {
		log.Error().Err(err).Msg("changed traits cannot be read: those of the file are used")
		c.changed = map[string]int{}
	}
	c.file, err = persona.Load(o.Characters, o.Character)
	return c, err
}

// key is where the changed traits are kept: each persona has its own.
func (c *character) key() []byte { return []byte("traits/" + strings.ToLower(c.o.Character)) }

// snapshot is the persona as it is now.
func (c *character) snapshot() contract.Character {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := contract.Character{
		Name: c.file.Name, Traits: c.traits(), Voice: c.file.Voice, Meta: c.file.Meta,
		Scenario: c.file.Scenario, Notes: c.file.Notes, Examples: c.file.Examples,
	}
	if c.file.Description != "" {
		out.Description = &c.file.Description
	}
	if c.file.SystemPrompt != "" {
		out.SystemPrompt = &c.file.SystemPrompt
	}
	return out
}

// traits are those of the file with what was changed. mu is held.
func (c *character) traits() contract.Object {
	t := maps.Clone(c.file.Traits)
	for name, v := range c.changed {
		if _, known := t[name]; known {
			t[name] = v
		}
	}
	return t
}

// publish tells everybody, retained, with a new id each time: a repeat would be dropped as one.
func (c *character) publish(ctx context.Context, bus *client.Client) error {
	_, err := client.Publish(ctx, bus, contract.CharacterCurrent, c.snapshot())
	return err
}

// unknownError is a trait or section that there is not.
type unknownError struct {
	what, name string
	available  []string
}

func (e *unknownError) Error() string { return fmt.Sprintf("unknown %s: %.60s", e.what, e.name) }

// section is what is said of it on the topic.
func (e *unknownError) section(name string) contract.CharacterSection {
	list := make([]any, len(e.available))
	for i, s := range e.available {
		list[i] = s
	}
	return contract.CharacterSection{Section: name, Value: contract.Object{"error": e.Error(), "available": list}}
}

// set changes a trait that the file has, and returns when that is on disk.
func (c *character) set(ctx context.Context, name string, value int) error {
	c.mu.Lock()
	known := c.traits()
	name = traitName(name, known)
	if _, ok := known[name]; !ok {
		c.mu.Unlock()
		return &unknownError{"trait", name, slices.Sorted(maps.Keys(known))}
	}
	next := maps.Clone(c.changed)
	next[name] = value
	c.changed = next
	c.mu.Unlock()
	v, err := json.Marshal(next)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	c.store.Write(func(err error) { done <- err }, [][]byte{c.key(), v}, nil)
	return wait(ctx, done)
}

// traitName is the name that the file has for what people say: any case, with spaces, and in
// British spelling.
func traitName(said string, known map[string]any) string {
	name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(said)), " ", "_")
	for _, try := range []string{said, name, strings.ReplaceAll(name, "our", "or"), strings.ReplaceAll(name, "or", "our")} {
		if _, ok := known[try]; ok {
			return try
		}
	}
	return name
}

// reset takes all changes back, and reads the file anew. With an error the traits are reset all the
// same.
func (c *character) reset(ctx context.Context) error {
	file, err := persona.Load(c.o.Characters, c.o.Character)
	c.mu.Lock()
	c.file, c.changed = file, map[string]int{}
	c.mu.Unlock()
	done := make(chan error, 1)
	c.store.Write(func(err error) { done <- err }, nil, [][]byte{c.key()})
	if werr := wait(ctx, done); werr != nil {
		return werr
	}
	return err
}

func (m *Memory) getCharacter(ctx context.Context, msg client.Message[contract.GetCharacter]) error {
	now := m.persona.snapshot()
	now.MessageID = client.NewID()
	out := contract.CharacterAnswer{Character: &now}
	if s := msg.Data.Section; s != nil && *s != "" {
		section, err := sectionOf(now, *s)
		if err != nil {
			section = err.section(*s)
		}
		out = contract.CharacterAnswer{Section: &section}
	}
	_, err := client.Reply(ctx, m.bus, msg, contract.CharacterResult, out)
	return err
}

// sectionOf is one field of a snapshot.
func sectionOf(c contract.Character, name string) (contract.CharacterSection, *unknownError) {
	text := func(s *string) any {
		if s == nil {
			return nil
		}
		return *s
	}
	fields := map[string]any{
		"message_id": c.MessageID, "name": c.Name, "description": text(c.Description), "systemprompt": text(c.SystemPrompt),
		"traits": c.Traits, "voice": c.Voice, "meta": c.Meta, "scenario": c.Scenario,
		"personality_notes": c.Notes, "example_interactions": c.Examples,
	}
	v, ok := fields[name]
	if !ok {
		return contract.CharacterSection{}, &unknownError{"section", name, slices.Sorted(maps.Keys(fields))}
	}
	return contract.CharacterSection{Section: name, Value: v}, nil
}

// updateCharacter changes traits, answers with all of them or why not, and tells everybody.
func (m *Memory) updateCharacter(ctx context.Context, msg client.Message[contract.UpdateCharacter]) error {
	var err error
	switch {
	case msg.Data.Reset != nil:
		err = m.persona.reset(ctx)
		m.tell(ctx, "persona", err)
	case msg.Data.Trait != nil:
		err = m.persona.set(ctx, msg.Data.Trait.Trait, msg.Data.Trait.Value)
	}
	now := m.persona.snapshot()
	section := contract.CharacterSection{Section: "traits", Value: now.Traits}
	unknown, is := err.(*unknownError) //nolint:errorlint // made above, and not wrapped
	if is {
		section = unknown.section("traits")
	} else if err != nil {
		section.Value = contract.Object{"error": err.Error()}
	}
	if _, rerr := client.Reply(ctx, m.bus, msg, contract.CharacterResult, contract.CharacterAnswer{Section: &section}); rerr != nil {
		return rerr
	}
	if is {
		return nil
	}
	return m.persona.publish(ctx, m.bus)
}
