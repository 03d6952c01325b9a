// Command tarsd is the broker and everything around it in one binary: see README.md. Each
// subcommand has a file of its own; what they do is in internal/app.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}); err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, "tarsd:", text)
		}
		os.Exit(exitCode(err))
	}
}

// stdio are the three streams of a command.
type stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// cli is the command line.
type cli struct {
	Help helpFlag `help:"Show what can be said here, and end."`

	Run     runCmd     `cmd:"" help:"Run the broker (also without any command)."`
	Check   checkCmd   `cmd:"" help:"Check the configuration and say what would run."`
	Status  statusCmd  `cmd:"" help:"Show how services and devices are."`
	Inspect inspectCmd `cmd:"" help:"Look at all that goes over a broker, on a terminal or as JSON; also tarsd --inspect [URL]."`
	Passwd  passwdCmd  `cmd:"" help:"Add, change, list or delete users."`
	Backup  backupCmd  `cmd:"" help:"Write a consistent copy of the data, also while tarsd runs."`
	Restore restoreCmd `cmd:"" help:"Put a backup in the place of the data, also while tarsd runs."`
	Memory  memoryCmd  `cmd:"" help:"Write memories to a file, or take them in, while tarsd runs."`
	Wake    wakeCmd    `cmd:"" help:"Train a wake word."`
	Audio   audioCmd   `cmd:"" help:"List speakers and microphones, and test them."`
	MCP     mcpCmd     `cmd:"" name:"mcp" help:"Serve the robot's tools to an MCP client on the standard streams."`
	Pub     pubCmd     `cmd:"" passthrough:"" help:"Publish, as mosquitto_pub does."`
	Sub     subCmd     `cmd:"" passthrough:"" help:"Subscribe, as mosquitto_sub does."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// run carries out one command line. Everything that main takes from the process is handed in.
func run(ctx context.Context, args []string, std stdio) error {
	var c cli
	k, err := kong.New(&c,
		kong.Name("tarsd"),
		kong.Description("An MQTT broker that people can trust."),
		kong.NoDefaultHelp(), // it takes -h, which is the host of pub and sub
		kong.Writers(std.Out, std.Err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		return err
	}
	args = inspectArgs(args)
	if len(args) == 0 || (strings.HasPrefix(args[0], "-") && args[0] != "--help") {
		args = append([]string{"run"}, args...) // a default command of kong would swallow --help
	}
	kctx, err := k.Parse(args)
	if errors.Is(err, errHelp) {
		return nil
	}
	if err != nil {
		return usageError{err}
	}
	return kctx.Run()
}

// errHelp ends parsing after help was shown.
var errHelp = errors.New("help was shown")

type helpFlag bool

// BeforeReset implements a hook of kong, which runs before anything can be missing.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func (usageError) ExitCode() int { return 2 }

// exitCode is what err asks for, else 1.
func exitCode(err error) int {
	var e interface{ ExitCode() int }
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return 1
}
