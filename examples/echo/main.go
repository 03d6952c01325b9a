// Command echo is the smallest service: it says what it hears. Give it the URL of a broker.
//
//	go run ./examples/echo mqtt://127.0.0.1
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	url := "mqtt://127.0.0.1"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if err := echo(ctx, url); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

// echo runs until ctx ends.
func echo(ctx context.Context, url string) error {
	c, err := client.Connect(ctx, client.Options{URL: url, ID: "tars-echo"})
	if err != nil {
		return err
	}
	_, err = client.Subscribe(c, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
		_, err := client.Publish(ctx, c, contract.TTSSay, contract.Say{Text: m.Data.Text}, client.WithID(m.ID))
		return err
	})
	if err = errors.Join(err, c.Ready(ctx)); err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, c.Close(context.WithoutCancel(ctx)))
}
