package app

import (
	"net/http"
	"strings"

	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/web"
)

// pageID stands for the client id of a page where its rights are asked for.
const pageID = "page"

// who answers the page's question who it is, and what it may do, so that it shows nothing that would be
// refused.
func (a *App) who(r *http.Request) (int, web.Who) {
	status, p := a.signIn(r, "", func(*delivery.Peer) bool { return true })
	if status != 0 {
		return status, web.Who{}
	}
	p.ID = pageID
	who := web.Who{User: p.User, Roles: p.Roles, May: []string{}}
	for _, row := range contract.Table() {
		if a.policy.MayPublish(p, strings.Replace(row.Name, "+", pageID, 1)) {
			who.May = append(who.May, row.Name)
		}
	}
	return 0, who
}

// signedOut reports whether a peer came in with a session of a browser that has ended.
func signedOut(p *delivery.Peer) bool { return p.SignedIn != nil && p.SignedIn() == "" }

// endSignedOut ends what came in with sessions that have ended: other tabs of a browser that signed out.
func (a *App) endSignedOut() {
	a.engine.Kick(signedOut, wire.NotAuthorized, "signed out")
}

// checkPassword decides about a sign-in on the page as the broker decides about a client. It answers 0 or
// the status of the refusal.
func (a *App) checkPassword(r *http.Request, user, password string) int {
	p, ok := httpPeer(r)
	if !ok {
		return http.StatusBadRequest
	}
	_, code, reason := a.policy.Login(r.Context(), p.Host, p.Local, user, []byte(password))
	if code == wire.Success {
		return 0
	}
	a.refused(p, user, reason, "")
	if reason == access.ReasonSlowed || reason == access.ReasonBusy {
		return http.StatusTooManyRequests
	}
	return http.StatusUnauthorized
}
