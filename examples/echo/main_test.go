package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

func TestEcho(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := client.Connect(ctx, client.Options{Dial: b.DialMemory, ID: "tars-test"})
	require.NoError(t, err)
	heard := make(chan client.Message[contract.Say], 1)
	ready := make(chan string, 10)
	_, err = client.Subscribe(c, contract.TTSSay, func(_ context.Context, m client.Message[contract.Say]) error {
		heard <- m
		return nil
	})
	require.NoError(t, err)
	_, err = client.Subscribe(c, contract.Health.At("echo"), func(_ context.Context, m client.Message[contract.HealthPing]) error {
		ready <- contract.Value(m.Data.Event)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(ctx))

	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- echo(run, "mqtt://"+b.TCP()) }()
	assert.Equal(t, "ready", <-ready)
	r, err := client.Publish(ctx, c, contract.STTFinal, contract.FinalTranscript{Text: "hello"})
	require.NoError(t, err)
	m := <-heard
	assert.Equal(t, "hello", m.Data.Text)
	assert.Equal(t, r.ID, m.ID)
	assert.Equal(t, "echo", m.Source)
	stop()
	require.NoError(t, <-done)
	assert.Equal(t, "shutdown", <-ready)
	require.NoError(t, c.Close(ctx))

	assert.Error(t, echo(ctx, "http://nowhere"))
}
