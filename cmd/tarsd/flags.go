package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/tarsd/tarsd/internal/config"
)

// configFlags are the flags of every command that looks at the configuration.
type configFlags struct {
	Config string   `placeholder:"FILE" help:"Configuration file (else TARSD_CONFIG, ./tarsd.yaml, /etc/tarsd/tarsd.yaml)."`
	Data   string   `placeholder:"DIR" help:"Data directory."`
	Set    []string `sep:"none" placeholder:"KEY=VALUE" help:"Set any key of the configuration; repeats."`
}

// load puts the configuration together. more are the assignments of the command's own flags.
func (f configFlags) load(more ...config.Assignment) (*config.Loaded, error) {
	s := config.Source{File: f.Config, Env: os.Environ()}
	for _, kv := range f.Set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, fmt.Errorf("--set %s: write KEY=VALUE", kv)
		}
		s.Set = append(s.Set, config.Assignment{Key: strings.TrimSpace(key), Value: value, From: "--set"})
	}
	if f.Data != "" {
		s.Set = append(s.Set, config.Assignment{Key: "data_dir", Value: f.Data, From: "--data"})
	}
	s.Set = append(s.Set, more...)
	return config.Load(s)
}

// serveFlags are the flags of what runs, or checks what would run.
type serveFlags struct {
	configFlags
	Services string   `placeholder:"LIST" help:"Services to run in this process, with commas; none for a bare broker."`
	Broker   string   `placeholder:"URL" help:"Broker elsewhere that the services use; then none runs here. See broker.url."`
	HTTP     string   `name:"http" placeholder:"ADDR" help:"Address of the HTTP port, or off."`
	Listen   []string `sep:"none" placeholder:"URL" help:"Listen here instead of the default: tcp, tls, ws, wss or unix URL; repeats."`
}

func (f serveFlags) load() (*config.Loaded, error) {
	var more []config.Assignment
	if f.Services != "" {
		more = append(more, config.Assignment{Key: "services", Value: f.Services, From: "--services"})
	}
	if f.Broker != "" {
		more = append(more, config.Assignment{Key: "broker.url", Value: f.Broker, From: "--broker"})
	}
	if f.HTTP != "" {
		more = append(more, config.Assignment{Key: "http.listen", Value: f.HTTP, From: "--http"})
	}
	if len(f.Listen) > 0 {
		more = append(more, config.Assignment{Key: "listen", Value: strings.Join(f.Listen, ","), From: "--listen"})
	}
	return f.configFlags.load(more...)
}
