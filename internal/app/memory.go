package app

import (
	"context"
	"errors"
	"time"

	"github.com/tarsd/tarsd/internal/engine/use"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/memory"
	"github.com/tarsd/tarsd/storage"
)

// makeMemory makes the service that remembers. A missing embedder is no reason to do without: it
// finds memories by their words then, and says so on its health topic.
func makeMemory(p parts) (services.Service, error) {
	c := p.cfg.Memory
	o := memory.Options{
		MaxRecords: c.MaxRecords, Refuse: c.WhenFull == "refuse", MaxAge: time.Duration(c.MaxAge),
		Character: c.Character, Characters: p.cfg.CharactersDir(),
	}
	if p.db != nil {
		o.Records, o.Traits = p.db.Table(storage.Memory), p.db.Table(storage.Persona)
	}
	switch c.Embedder {
	case "use":
		e, err := p.encoder(context.Background()) // services are made in one go
		if err == nil {
			o.Embedder = e
		} else if o.NoEmbedder = err; !errors.Is(err, use.ErrNoWeights) {
			return nil, err
		}
	case "openai":
		e, err := memory.NewRemote(memory.RemoteOptions{
			URL: c.URL.Reveal(), Model: c.Model, Timeout: time.Duration(c.Timeout),
			Key: func() (string, error) {
				if c.KeyFile != "" {
					return firstLine(c.KeyFile)
				}
				return c.Key.Reveal(), nil
			},
		})
		if err != nil {
			return nil, err
		}
		o.Embedder = e
	}
	return memory.New(o), nil
}
