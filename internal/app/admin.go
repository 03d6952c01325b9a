package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/storage"
)

// The admin socket is HTTP on a unix socket in the data directory. Only the user that runs tarsd,
// and root, get in: by the mode of the socket, and by the credentials that the kernel tells.

// adminSocket is its path.
func adminSocket(dataDir string) string { return filepath.Join(dataDir, "admin.sock") }

// Limits of the admin socket.
const (
	adminBody   = 1 << 20         // bytes of a JSON request
	adminHeader = 5 * time.Second // time to send a request's header
)

// Status is what the admin socket tells of the process behind it.
type Status struct {
	ID        string          `json:"id"` // of this start
	PID       int             `json:"pid"`
	Version   string          `json:"version"`
	Started   time.Time       `json:"started"`
	Listeners []string        `json:"listeners"`
	HTTP      string          `json:"http,omitempty"`
	Clients   int             `json:"clients"`
	Users     int             `json:"users"`
	Health    string          `json:"health"`
	Reason    string          `json:"reason,omitempty"`
	Services  []ServiceStatus `json:"services"`
}

// ServiceStatus is how a service of that process is.
type ServiceStatus struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // starting, ready, restarting or stopped
	Since    time.Time `json:"since"`
	Restarts uint64    `json:"restarts"`
	Error    string    `json:"error,omitempty"`
}

// UserChange is one change of a user, see access.Change.
type UserChange struct {
	Name      string   `json:"name"`
	Password  []byte   `json:"password,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	ClientIDs []string `json:"client_ids,omitzero"` // empty, not nil: any client id
	Delete    bool     `json:"delete,omitempty"`
}

// apply carries the change out.
func (c UserChange) apply(ctx context.Context, u *access.Users) error {
	if c.Delete {
		return u.Delete(ctx, c.Name)
	}
	return u.Update(ctx, c.Name, access.Change{Password: c.Password, Roles: c.Roles, ClientIDs: c.ClientIDs})
}

func (a *App) bindAdmin(context.Context) error {
	ln, err := listenUnix(a.cfg.DataDir, filepath.Base(adminSocket(a.cfg.DataDir)))
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", a.adminStatus)
	mux.HandleFunc("GET /v1/health", a.adminHealth)
	mux.HandleFunc("GET /v1/clients", a.adminClients)
	mux.HandleFunc("GET /v1/retained", a.adminRetained)
	mux.HandleFunc("GET /v1/users", a.adminUsers)
	mux.HandleFunc("POST /v1/users", a.adminChangeUser)
	mux.HandleFunc("GET /v1/backup", a.adminBackup)
	mux.HandleFunc("POST /v1/restore", a.adminRestore)
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: adminHeader, IdleTimeout: time.Minute,
		ErrorLog: stdlog.New(io.Discard, "", 0), // aborted backups, which the handler logs
	}
	a.wg.Go(func() {
		if err := srv.Serve(ownersOnly{ln}); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("admin socket: %w", err))
		}
	})
	a.onStop("admin socket", func(ctx context.Context) error {
		// A backup that is under way is cut rather than waited for: its client notices.
		short, cancel := a.timeout(ctx, stopPolite)
		defer cancel()
		if srv.Shutdown(short) != nil {
			return srv.Close()
		}
		return nil
	})
	return nil
}

// ownersOnly accepts connections of processes of our own user and of root. The mode of the socket
// says the same, but only from a moment after it was bound.
type ownersOnly struct{ *net.UnixListener }

func (l ownersOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := peerUID(c); err == nil && (uid == 0 || uid == os.Geteuid()) {
			return c, nil
		}
		c.Close()
	}
}

// peerUID is the user id of the process at the other end.
func peerUID(c *net.UnixConn) (int, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, err
	}
	if cerr != nil {
		return 0, cerr
	}
	return int(cred.Uid), nil
}

// listenUnix binds a socket in dir. Whoever holds the lock of the data file owns the directory,
// so that a socket that is there already was left by a process that died. The address goes by way
// of the directory's descriptor: a path may be longer than an address can be.
func listenUnix(dir, name string) (*net.UnixListener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	path := filepath.Join(dir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: throughFD(d, name), Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // by a name that ends with d; it is removed at the next start
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// throughFD names a file in an open directory in few bytes.
func throughFD(d *os.File, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(d.Fd())) + "/" + name
}

func (a *App) status() Status {
	h := a.health()
	return Status{
		ID: a.id, PID: os.Getpid(), Version: a.o.Version, Started: a.started, Listeners: a.Listeners(), HTTP: a.HTTP(),
		Clients: h.Clients, Users: a.users.Len(), Health: string(h.Status), Reason: h.Reason, Services: a.serviceStates(),
	}
}

func (a *App) adminStatus(w http.ResponseWriter, _ *http.Request) { answer(w, a.status()) }

func (a *App) adminUsers(w http.ResponseWriter, _ *http.Request) { answer(w, a.users.List()) }

func (a *App) adminChangeUser(w http.ResponseWriter, r *http.Request) {
	var c UserChange
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, adminBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := c.apply(r.Context(), a.users); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	answer(w, struct{}{})
}

// adminBackup streams a copy. What goes wrong after the first byte can only be told by cutting
// the connection; the client then has an incomplete body.
func (a *App) adminBackup(w http.ResponseWriter, _ *http.Request) {
	n, err := a.db.Backup(w)
	if err != nil {
		a.log.Error().Err(err).Int64("bytes", n).Msg("backup failed")
		panic(http.ErrAbortHandler)
	}
	a.log.Info().Int64("bytes", n).Msg("backup written")
}

// adminRestore takes a backup, verifies it beside the data and asks for the restart that puts it
// in place.
func (a *App) adminRestore(w http.ResponseWriter, r *http.Request) {
	name, err := stage(a.cfg.DataDir, r.Body)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, err)
		return
	}
	select {
	case a.restore <- name:
		answer(w, a.status())
	default:
		os.Remove(name)
		refuse(w, http.StatusConflict, errors.New("another restore is under way"))
	}
}

// stagedFiles is the pattern of their names.
const stagedFiles = "restore-*.tmp"

// stage copies a backup into dir and verifies it there. A file that fails is removed.
func stage(dir string, from io.Reader) (name string, err error) {
	f, err := os.CreateTemp(dir, stagedFiles)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("copy the backup: %w", err)
	}
	if err := storage.Verify(f.Name()); err != nil {
		return "", fmt.Errorf("the backup does not verify: %w", err)
	}
	return f.Name(), nil
}

// finishRestore puts a staged file in the place of the data file, which is kept beside it.
func finishRestore(data, staged string) error {
	defer os.Remove(staged)
	return storage.Restore(data, staged)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // fails only when the client has gone
}

// refusal is the body of an answer that is not 200.
type refusal struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(refusal{err.Error()})
}
