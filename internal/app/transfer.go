package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/memory/legacy"
)

const (
	transferWait  = 5 * time.Second  // for a connection to the broker
	transferReply = 30 * time.Second // for one page
	importPage    = 500              // records
	importBytes   = 256 << 10        // of texts in a page
	maxImportLine = 1 << 20
)

// localURL is a URL at which the broker of this configuration can be reached: that of broker.url, or a
// listener of the tarsd on this machine.
func localURL(c config.Config) (client.Options, error) {
	if c.Broker.Remote() {
		return remoteOptions(c.Broker)
	}
	tcp := ""
	for _, raw := range c.Listeners() {
		u, err := url.Parse(raw)
		switch {
		case err != nil:
		case u.Scheme == "unix": // best: another broker could have the port
			return client.Options{URL: raw}, nil
		case (u.Scheme == "tcp" || u.Scheme == "mqtt") && u.Port() != "0" && tcp == "":
			host := u.Hostname()
			if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			tcp = "mqtt://" + net.JoinHostPort(host, u.Port())
		}
	}
	if tcp != "" {
		return client.Options{URL: tcp}, nil
	}
	return client.Options{}, errors.New("no listener of this configuration can be used from here; set broker.url")
}

// transfer connects to the broker for a command and runs f.
func transfer(ctx context.Context, c config.Config, log zerolog.Logger, f func(*client.Client) error) error {
	o, err := localURL(c)
	if err != nil {
		return err
	}
	o.ID, o.Name, o.Log, o.NoHealth, o.Heartbeat = "tarsd-memory-"+client.NewID()[:8], "cli", log, true, -1
	bus, err := client.Connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = bus.Close(ctx) // every answer has come
	}()
	wait, cancel := context.WithTimeout(ctx, transferWait)
	defer cancel()
	if err := bus.Await(wait); err != nil {
		return fmt.Errorf("reach the broker: %w", err)
	}
	return f(bus)
}

// ExportMemory writes all memories of the running memory service to w, one JSON object a line, the
// oldest first, and returns how many there were.
func ExportMemory(ctx context.Context, c config.Config, w io.Writer, log zerolog.Logger) (n int, err error) {
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err = transfer(ctx, c, log, func(bus *client.Client) error {
		var after *string
		for {
			page, cancel := context.WithTimeout(ctx, transferReply)
			m, err := client.Request(page, bus, contract.MemoryExport, contract.MemoryExported, contract.ExportMemory{After: after, Limit: importPage})
			cancel()
			switch {
			case err != nil:
				return err
			case m.Data.Err != nil:
				return errors.New(*m.Data.Err)
			}
			for _, r := range m.Data.Records {
				if err := lines.Encode(r); err != nil {
					return err
				}
				n++
			}
			if after = m.Data.Next; after == nil {
				return out.Flush()
			}
		}
	})
	return n, err
}

// ImportMemory hands memories to the running memory service: lines as ExportMemory writes them, or
// the memory file of the system before this one. What is there already is left out.
func ImportMemory(ctx context.Context, c config.Config, r io.Reader, log zerolog.Logger) (added, skipped int, err error) {
	in := bufio.NewReaderSize(r, maxImportLine)
	next := jsonLines(in)
	if legacy.Sniff(in) {
		if next, err = legacyFile(in); err != nil {
			return 0, 0, err
		}
	}
	err = transfer(ctx, c, log, func(bus *client.Client) error {
		for done := false; !done; {
			var page contract.ImportMemory
			size := 0
			for len(page.Records) < importPage && size < importBytes {
				record, err := next()
				if errors.Is(err, io.EOF) {
					done = true
					break
				}
				if err != nil {
					return err
				}
				page.Records = append(page.Records, record)
				size += len(record.Text)
			}
			if len(page.Records) == 0 {
				return nil
			}
			wait, cancel := context.WithTimeout(ctx, transferReply)
			m, err := client.Request(wait, bus, contract.MemoryImport, contract.MemoryImported, page)
			cancel()
			if err != nil {
				return err
			}
			added, skipped = added+m.Data.Added, skipped+m.Data.Skipped
			if m.Data.Err != nil {
				return errors.New(*m.Data.Err)
			}
		}
		return nil
	})
	return added, skipped, err
}

// jsonLines reads records, one a line. Unknown keys are errors, with the number of the line. What has
// no time comes right after the line before, so that the order stays, and a second import finds it.
func jsonLines(in *bufio.Reader) func() (contract.MemoryRecord, error) {
	n, last := 0, 0.0
	return func() (r contract.MemoryRecord, err error) {
		for {
			n++
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				return r, fmt.Errorf("line %d is longer than %d bytes", n, maxImportLine)
			}
			if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
				return r, err
			}
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			r.Role = "user"
			d := json.NewDecoder(bytes.NewReader(line))
			d.DisallowUnknownFields()
			if err := d.Decode(&r); err != nil {
				return r, fmt.Errorf("line %d: %w", n, err)
			}
			if r.TS == 0 {
				r.TS = last + 0.001
			}
			last = r.TS
			return r, nil
		}
	}
}

// legacyFile reads the memory file of the system before this one. What has no time there comes
// right after what stands before it, so that the order stays.
func legacyFile(in *bufio.Reader) (func() (contract.MemoryRecord, error), error) {
	entries, err := legacy.Read(in)
	if err != nil {
		return nil, err
	}
	last, i := 0.0, 0
	return func() (contract.MemoryRecord, error) {
		if i == len(entries) {
			return contract.MemoryRecord{}, io.EOF
		}
		e := entries[i]
		i++
		if e.TS == 0 {
			e.TS = last + 0.001
		}
		last = e.TS
		return contract.MemoryRecord{Text: e.Text, Role: e.Role, TS: e.TS, Lang: e.Lang, SourceID: e.MessageID}, nil
	}, nil
}
