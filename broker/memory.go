package broker

import (
	"context"
	"net"
	"sync"
)

// Memory is the listener for clients inside this process. It costs no system calls.
type Memory struct {
	server Server

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // connections
}

// NewMemory makes a listener whose connections s serves.
func NewMemory(s Server) *Memory { return &Memory{server: s} }

// Dial connects. The connection has 64 KiB of buffer each way and obeys deadlines. It fails
// with net.ErrClosed after Close.
func (m *Memory) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, net.ErrClosed
	}
	client, server := newPipe()
	m.wg.Go(func() {
		m.server.Serve(server, Info{
			Listener: "memory",
			Remote:   memoryAddr{},
			Local:    memoryAddr{},
			Memory:   true,
		})
	})
	return client, nil
}

// Close refuses new connections. Those that exist go on, until the broker ends them.
func (m *Memory) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
}

// Wait returns when all connections have ended. Call it after Close and Broker.Shutdown.
func (m *Memory) Wait() { m.wg.Wait() }
