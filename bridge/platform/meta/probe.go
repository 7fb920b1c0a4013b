package meta

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Me is the answer of /me, with what products ask for.
type Me struct {
	ID        text `json:"id"`
	UserID    text `json:"user_id"`
	Name      text `json:"name"`
	Username  text `json:"username"`
	Instagram *struct {
		ID       text `json:"id"`
		Username text `json:"username"`
	} `json:"instagram_business_account"`
}

// LinkedInstagram is the id of the Instagram account that a page is linked to.
func LinkedInstagram(me Me) string {
	if me.Instagram == nil {
		return ""
	}
	return string(me.Instagram.ID)
}

// account is whose token it is.
func (m Me) account() string { return firstOf(m.UserID, m.ID) }

func (m Me) displayName() string {
	username := m.Username
	if m.Instagram != nil && m.Instagram.Username != "" {
		username = m.Instagram.Username
	}
	if username != "" {
		return "@" + string(username)
	}
	return string(m.Name)
}

// Probe implements platform.Platform: whose token it is, whether it is of this
// app and may do what is needed, and when it ends. The last three need the
// app's secret, so that a wrong one is found here and not by the first webhook.
func (p *Platform) Probe(ctx context.Context, ch platform.Channel) (platform.ProbeResult, error) {
	c := self(ch)
	var me Me
	if err := p.call(ctx, c, graphCall{method: http.MethodGet, path: "me", query: query{"fields": {c.WhoAmI}}}, &me); err != nil {
		return platform.ProbeResult{}, duty(err, "asking whose token it is")
	}
	result := platform.ProbeResult{Account: me.account(), DisplayName: me.displayName()}
	if c.LinkedID != nil {
		if c.Page != Myself && string(me.ID) != c.Page {
			return result, misconfigured("the token is of page %s, the Channel names page %s", me.ID, c.Page)
		}
		if result.Account = c.LinkedID(me); result.Account == "" {
			return result, misconfigured("page %s is not linked to an Instagram account, or the token may not see it (instagram_basic)", me.ID)
		}
	}
	if result.Account != c.ID {
		return result, misconfigured("the token is of account %s, the Channel is for %s", result.Account, c.ID)
	}
	if len(c.Scopes) == 0 {
		if c.TokenLife > 0 && !c.tokenSince.IsZero() {
			result.ExpiresAt = c.tokenSince.Add(c.TokenLife) // at the latest
		}
		return result, nil
	}
	var err error
	result.ExpiresAt, err = p.debugToken(ctx, c)
	return result, err
}

func misconfigured(format string, args ...any) error {
	return &platform.Error{Class: wire.ErrMisconfigured, Reason: fmt.Sprintf(format, args...)}
}

// debugToken asks the app about the token. A call with method=GET in its body
// is a GET to the Graph API; so the token stays out of the URL.
func (p *Platform) debugToken(ctx context.Context, c *channel) (expires time.Time, err error) {
	var info struct {
		Data struct {
			AppID     text     `json:"app_id"`
			IsValid   bool     `json:"is_valid"`
			ExpiresAt int64    `json:"expires_at"` // Unix seconds; 0: never
			Scopes    []string `json:"scopes"`
			Error     struct {
				Message string `json:"message"`
			} `json:"error"`
		} `json:"data"`
	}
	body := fields{"method": "GET", "input_token": c.token}
	err = p.call(ctx, c, graphCall{method: http.MethodPost, path: "debug_token", body: body, asApp: true}, &info)
	if e := asError(err); e != nil {
		if e.Class == wire.ErrAuthInvalid || e.Class == wire.ErrContentRejected {
			e.Class = wire.ErrAuthInvalid
			e.Reason = fmt.Sprintf("app %s does not accept its secret: %s", c.App, e.Reason)
		}
		return time.Time{}, err
	}
	data := info.Data
	missing := slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return slices.Contains(data.Scopes, s) })
	switch {
	case !data.IsValid:
		return time.Time{}, c.redact(&platform.Error{Class: wire.ErrAuthInvalid, Reason: "the token is not valid any more: " + data.Error.Message})
	case data.AppID != "" && string(data.AppID) != c.App:
		return time.Time{}, misconfigured("the token was made by app %s, the Channel names app %s", data.AppID, c.App)
	case len(data.Scopes) > 0 && len(missing) > 0:
		return time.Time{}, misconfigured("the token has no permission %s; give it and make a new token", strings.Join(missing, ", "))
	case data.ExpiresAt > 0:
		return time.Unix(data.ExpiresAt, 0).UTC(), nil
	}
	return time.Time{}, nil
}
