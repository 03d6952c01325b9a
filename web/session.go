package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// SessionPath is the route of sign-in: GET says who asks, POST signs in, DELETE signs out.
const SessionPath = "/api/v1/session"

// Limits of sessions.
const (
	sessionCookie = "tarsd_session"
	sessionLife   = 30 * 24 * time.Hour // since it was used last
	maxSessions   = 1024
	maxSignIn     = 4 << 10 // bytes of a request
	tokenBytes    = 32
)

// Who is the answer of SessionPath.
type Who struct {
	User  string   `json:"user"` // empty: nobody in particular, who may come in without
	Roles []string `json:"roles"`
	May   []string `json:"may"` // topics of the contract that may be published to
}

// SessionOptions say who may sign in. Who answers for a request, with the user of its session or an empty
// name; a status other than 0 is that of the refusal. SignIn checks a password likewise.
type SessionOptions struct {
	Who    func(r *http.Request) (status int, who Who)
	SignIn func(r *http.Request, user, password string) (status int)
	// SignedOut is called when a session was ended by its browser, whose other connections should end with it.
	// May be nil.
	SignedOut func()
}

// Sessions are the browsers that have signed in, by cookies. They end with the process.
type Sessions struct {
	o SessionOptions

	mu    sync.Mutex // guards what is below
	open  map[[sha256.Size]byte]*session
	ended int // calls of End
}

type session struct {
	user string
	used time.Time
}

var _ http.Handler = (*Sessions)(nil)

// NewSessions makes an empty table.
func NewSessions(o SessionOptions) *Sessions {
	return &Sessions{o: o, open: map[[sha256.Size]byte]*session{}}
}

// User is who has signed in with the browser of a request; empty if nobody has. The function may be asked
// again later: it forgets a session that has ended meanwhile.
func (s *Sessions) User(r *http.Request) func() string {
	c, err := r.Cookie(sessionCookie)
	if err != nil || c.Value == "" {
		return func() string { return "" }
	}
	key := sha256.Sum256([]byte(c.Value))
	return func() string { return s.user(key) }
}

func (s *Sessions) user(key [sha256.Size]byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.open[key]
	switch {
	case o == nil:
		return ""
	case time.Since(o.used) > sessionLife:
		delete(s.open, key)
		return ""
	}
	o.used = time.Now()
	return o.user
}

// End ends all sessions of a user.
func (s *Sessions) End(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended++
	for key, o := range s.open {
		if o.user == user {
			delete(s.open, key)
		}
	}
}

// endings counts the calls of End.
func (s *Sessions) endings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// begin makes a session and gives its token; empty if End was called since there were so many endings: the
// password that was checked meanwhile may be an old one. When there are too many sessions the one that was
// used least ends.
func (s *Sessions) begin(user string, endings int) string {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	token := base64.RawURLEncoding.EncodeToString(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != endings {
		return ""
	}
	if len(s.open) >= maxSessions {
		var oldest [sha256.Size]byte
		at := time.Time{}
		for key, o := range s.open {
			if at.IsZero() || o.used.Before(at) {
				oldest, at = key, o.used
			}
		}
		delete(s.open, oldest)
	}
	s.open[sha256.Sum256([]byte(token))] = &session{user: user, used: time.Now()}
	return token
}

// ServeHTTP implements http.Handler. The handler around it refuses requests that change something for
// pages from elsewhere.
func (s *Sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		s.who(w, r)
	case http.MethodPost:
		s.signIn(w, r)
	case http.MethodDelete:
		s.signOut(w, r)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		http.Error(w, "use GET, POST or DELETE", http.StatusMethodNotAllowed)
	}
}

func (s *Sessions) who(w http.ResponseWriter, r *http.Request) {
	status, who := s.o.Who(r)
	if status != 0 {
		http.Error(w, "sign in first", status)
		return
	}
	// The browser forgets the cookie at a time that was set with it: use puts that off, as it does here.
	if c, err := r.Cookie(sessionCookie); err == nil && s.User(r)() != "" {
		s.cookie(w, r, c.Value, int(sessionLife.Seconds()))
	}
	writeJSON(w, http.StatusOK, who)
}

func (s *Sessions) signOut(w http.ResponseWriter, r *http.Request) {
	ended := false
	if c, err := r.Cookie(sessionCookie); err == nil {
		key := sha256.Sum256([]byte(c.Value))
		s.mu.Lock()
		ended = s.open[key] != nil
		delete(s.open, key)
		s.mu.Unlock()
	}
	if ended && s.o.SignedOut != nil {
		s.o.SignedOut()
	}
	s.cookie(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sessions) signIn(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User     string `json:"user"`
		Password string `json:"password"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSignIn))
	d.DisallowUnknownFields()
	err := d.Decode(&in)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("data after the object")
		}
	}
	if err != nil {
		http.Error(w, "sign-in is an object with user and password: "+err.Error(), http.StatusBadRequest)
		return
	}
	if in.User == "" {
		http.Error(w, "user: must be set", http.StatusBadRequest)
		return
	}
	endings := s.endings()
	if status := s.o.SignIn(r, in.User, in.Password); status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	token := s.begin(in.User, endings)
	if token == "" {
		http.Error(w, "a user was changed meanwhile: try again", http.StatusConflict)
		return
	}
	r.Header.Set("Cookie", sessionCookie+"="+token) // who asks from here on
	s.who(w, r)
}

// cookie sets the session's. Over plain http it cannot be Secure. Browsers send it to every port of this host;
// pages from those are kept out by the handler's and the WebSocket's checks of the origin.
func (s *Sessions) cookie(w http.ResponseWriter, r *http.Request, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure follows the connection
		Name: sessionCookie, Value: token, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}
