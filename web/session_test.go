package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gatekeeper lets anna in with her password.
func gatekeeper() *Sessions {
	var s *Sessions
	s = NewSessions(SessionOptions{
		Who: func(r *http.Request) (int, Who) {
			user := s.User(r)()
			if user == "" {
				return http.StatusUnauthorized, Who{}
			}
			return 0, Who{User: user, Roles: []string{"page"}, May: []string{"tts/say"}}
		},
		SignIn: func(_ *http.Request, user, password string) int {
			if user != "anna" || password != "secret" {
				return http.StatusUnauthorized
			}
			return 0
		},
	})
	return s
}

func ask(s http.Handler, method, body string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, SessionPath, strings.NewReader(body))
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestSession(t *testing.T) {
	t.Parallel()
	s := gatekeeper()
	assert.Equal(t, 401, ask(s, "GET", "").Code)
	in := ask(s, "POST", `{"user":"anna","password":"secret"}`)
	require.Equal(t, 200, in.Code)
	assert.JSONEq(t, `{"user":"anna","roles":["page"],"may":["tts/say"]}`, in.Body.String())
	c := in.Result().Cookies()[0]
	assert.True(t, c.HttpOnly)
	assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	assert.False(t, c.Secure, "the page came over plain http")
	r := httptest.NewRequest("POST", SessionPath, strings.NewReader(`{"user":"anna","password":"secret"}`))
	r.Header.Set("X-Forwarded-Proto", "https")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	assert.True(t, w.Result().Cookies()[0].Secure, "a proxy took it over https")
	assert.Len(t, c.Value, 43)
	require.Len(t, in.Result().Cookies(), 1)
	assert.Equal(t, int(sessionLife.Seconds()), c.MaxAge)
	again := ask(s, "GET", "", c)
	assert.Equal(t, 200, again.Code)
	require.Len(t, again.Result().Cookies(), 1, "use makes the cookie last, too")
	assert.Equal(t, c.String(), again.Result().Cookies()[0].String())
	assert.Equal(t, 401, ask(s, "GET", "", &http.Cookie{Name: c.Name, Value: c.Value[1:]}).Code)

	out := ask(s, "DELETE", "", c)
	assert.Equal(t, 204, out.Code)
	assert.Negative(t, out.Result().Cookies()[0].MaxAge)
	assert.Equal(t, 401, ask(s, "GET", "", c).Code, "the session has ended, and not only its cookie")
}

func TestSignedOut(t *testing.T) {
	t.Parallel()
	s, told := gatekeeper(), 0
	s.o.SignedOut = func() { told++ }
	c := ask(s, "POST", `{"user":"anna","password":"secret"}`).Result().Cookies()[0]
	ask(s, "DELETE", "")
	require.Zero(t, told, "there was no session")
	ask(s, "DELETE", "", c)
	require.Equal(t, 1, told)
	ask(s, "DELETE", "", c)
	require.Equal(t, 1, told, "it has ended already")
}

// TestChangeDuringSignIn: a password that was changed while the old one was checked begins nothing.
func TestChangeDuringSignIn(t *testing.T) {
	t.Parallel()
	s := gatekeeper()
	check := s.o.SignIn
	s.o.SignIn = func(r *http.Request, user, password string) int {
		status := check(r, user, password)
		s.End("anna")
		return status
	}
	w := ask(s, "POST", `{"user":"anna","password":"secret"}`)
	require.Equal(t, 409, w.Code)
	require.Empty(t, w.Result().Cookies())
	require.Empty(t, s.open)
}

func TestSessionRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, body string
		code               int
	}{
		{"wrong password", "POST", `{"user":"anna","password":"x"}`, 401},
		{"no user", "POST", `{"user":"","password":"secret"}`, 400},
		{"unknown key", "POST", `{"user":"anna","password":"secret","admin":true}`, 400},
		{"more data", "POST", `{"user":"anna","password":"secret"}{}`, 400},
		{"no object", "POST", `[]`, 400},
		{"nothing", "POST", ``, 400},
		{"too long", "POST", `{"user":"` + strings.Repeat("a", maxSignIn) + `"}`, 400},
		{"another method", "PUT", `{"user":"anna","password":"secret"}`, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := ask(gatekeeper(), c.method, c.body)
			assert.Equal(t, c.code, w.Code)
			assert.Empty(t, w.Result().Cookies())
		})
	}
}

// TestSessionEnds: a function that was made before the end says so afterwards.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	signIn := func(s *Sessions) (*http.Request, func() string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.AddCookie(ask(s, "POST", `{"user":"anna","password":"secret"}`).Result().Cookies()[0])
		return r, s.User(r)
	}
	s := gatekeeper()
	_, user := signIn(s)
	require.Equal(t, "anna", user())
	s.End("bert")
	require.Equal(t, "anna", user())
	s.End("anna")
	require.Empty(t, user())

	synctest.Test(t, func(t *testing.T) {
		s := gatekeeper()
		_, user := signIn(s)
		time.Sleep(sessionLife - time.Minute)
		require.Equal(t, "anna", user(), "and it is used, which makes it last")
		time.Sleep(sessionLife - time.Minute)
		require.Equal(t, "anna", user())
		time.Sleep(sessionLife + time.Minute)
		require.Empty(t, user())
	})

	synctest.Test(t, func(t *testing.T) {
		s := gatekeeper()
		_, first := signIn(s)
		time.Sleep(time.Second)
		_, second := signIn(s)
		for range maxSessions - 1 {
			time.Sleep(time.Second)
			s.begin("bert", 0)
		}
		require.Empty(t, first(), "the oldest made room")
		require.Equal(t, "anna", second())
		require.Len(t, s.open, maxSessions)
	})
}

// TestSessionFromElsewhere: pages from other origins cannot sign in or out, which the handler around sees to.
func TestSessionFromElsewhere(t *testing.T) {
	t.Parallel()
	w := request(t, Options{Session: gatekeeper()}, "POST", SessionPath, here, "localhost", "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, 403, w.Code)
	w = request(t, Options{Session: gatekeeper()}, "POST", SessionPath, here, "localhost", "Sec-Fetch-Site", "same-origin")
	assert.Equal(t, 400, w.Code)
}
