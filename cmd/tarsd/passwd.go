package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/tarsd/tarsd/internal/app"
)

type passwdCmd struct {
	configFlags
	Role       []string `placeholder:"ROLE" help:"Role of the user: service, device, page, viewer, admin or one of your own; repeats. A new user needs one."`
	ClientID   []string `name:"client-id" sep:"none" placeholder:"PATTERN" help:"Client id that the user may take, with * and %u; repeats. any lifts the binding."`
	Generate   bool     `xor:"how" help:"Make up a password and print it."`
	NoPassword bool     `name:"no-password" xor:"how" help:"Leave the password as it is; a new user then needs a certificate."`
	Delete     bool     `xor:"how" help:"Delete the user."`
	List       bool     `xor:"how" help:"List the users."`
	Name       string   `arg:"" optional:"" help:"Name of the user."`
}

// Run changes or lists users, in the running tarsd or in its file.
func (c passwdCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if c.List == (c.Name != "") {
		return usageError{errors.New("passwd: name one user, or --list")}
	}
	change := app.UserChange{Name: c.Name, Roles: c.Role, Delete: c.Delete}
	if len(c.ClientID) > 0 {
		change.ClientIDs = []string{}
		for _, p := range c.ClientID {
			if p != "any" {
				change.ClientIDs = append(change.ClientIDs, p)
			}
		}
	}
	admin, err := app.OpenUserAdmin(ctx, cfg.Config, newLogger(cfg.Log, std.Err))
	if err != nil {
		return fmt.Errorf("passwd: %w", err)
	}
	if c.List {
		err = listUsers(ctx, admin, std.Out)
	} else {
		err = c.change(ctx, admin, change, std)
	}
	return errors.Join(err, admin.Close())
}

func (c passwdCmd) change(ctx context.Context, admin app.UserAdmin, change app.UserChange, std stdio) error {
	var err error
	switch {
	case c.Delete || c.NoPassword:
	case c.Generate:
		change.Password = []byte(rand.Text())
	default:
		if change.Password, err = askPassword(std, c.Name); err != nil {
			return err
		}
	}
	if err := admin.Change(ctx, change); err != nil {
		return err
	}
	what := "changed"
	if c.Delete {
		what = "deleted"
	}
	fmt.Fprintf(std.Err, "user %s %s\n", c.Name, what)
	if c.Generate {
		fmt.Fprintf(std.Out, "%s\n", change.Password)
	}
	return nil
}

// askPassword asks twice on a terminal, and otherwise reads one line. It is never an argument:
// those are seen by everybody on the machine.
func askPassword(std stdio, name string) ([]byte, error) {
	f, ok := std.In.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(std.In, 4096)).ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return nil, errors.New("no password on the standard input; or use --generate")
		}
		return line, nil
	}
	var typed [2][]byte
	for i, prompt := range []string{"Password for " + name + ": ", "Once more: "} {
		fmt.Fprint(std.Err, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(std.Err)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		typed[i] = b
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return nil, errors.New("the two passwords differ")
	}
	if len(typed[0]) == 0 {
		return nil, errors.New("the password is empty")
	}
	return typed[0], nil
}

func listUsers(ctx context.Context, admin app.UserAdmin, w io.Writer) error {
	users, err := admin.List(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tROLES\tCLIENT IDS\tLOGIN\tCHANGED")
	for _, u := range users {
		ids, login := "any", "password"
		if len(u.ClientIDs) > 0 {
			ids = strings.Join(u.ClientIDs, ",")
		}
		if !u.HasPassword {
			login = "certificate"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", u.Name, strings.Join(u.Roles, ","), ids, login, u.Changed.Local().Format("2006-01-02 15:04"))
	}
	return t.Flush()
}
