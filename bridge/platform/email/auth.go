package email

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/emersion/go-sasl"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// xoauth2 is what Google and Microsoft spoke before RFC 7628, and what
// Microsoft speaks still.
type xoauth2 struct{ username, token string }

const mechXOAuth2 = "XOAUTH2"

// Start implements sasl.Client.
func (a xoauth2) Start() (mech string, first []byte, err error) {
	return mechXOAuth2, []byte("user=" + a.username + "\x01auth=Bearer " + a.token + "\x01\x01"), nil
}

// Next implements sasl.Client. A challenge is an error in JSON; an empty answer
// makes the server say it as its protocol does.
func (a xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }

// bearer is RFC 7628's mechanism; go-sasl's own takes the error challenge for
// its own error and leaves the exchange unfinished.
type bearer struct {
	sasl.Client
}

// Next answers the error challenge as RFC 7628 section 3.2.3 asks: with ^A.
func (bearer) Next([]byte) ([]byte, error) { return []byte{1}, nil }

// saslClient chooses the best mechanism that the server offers.
func (c *channel) saslClient(s Server, offers func(mechanism string) bool) (sasl.Client, error) {
	username := c.config.username()
	if c.tokens == nil {
		switch {
		case offers(sasl.Plain):
			return sasl.NewPlainClient("", username, c.password), nil
		case offers(sasl.Login):
			return sasl.NewLoginClient(username, c.password), nil
		}
		return nil, &platform.Error{Class: wire.ErrMisconfigured, Reason: s.Host + " takes no password over this connection (no AUTH PLAIN or LOGIN); it may want OAuth2, or another port or tls"}
	}
	token, err := c.tokens.Token()
	if err != nil {
		return nil, c.tokenError(err)
	}
	switch {
	case offers(sasl.OAuthBearer):
		return bearer{sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: username, Token: token.AccessToken, Host: s.Host, Port: s.Port})}, nil
	case offers(mechXOAuth2):
		return xoauth2{username: username, token: token.AccessToken}, nil
	}
	return nil, &platform.Error{Class: wire.ErrMisconfigured, Reason: s.Host + " takes no OAuth 2 token over this connection (no AUTH XOAUTH2 or OAUTHBEARER); set email.auth.type to Password, or check port and tls"}
}

// tokenSource is where access tokens come from. Fetched ones are used until
// shortly before their end. A refresh token that the server replaces is used as
// long as this version of the channel is loaded; nothing here writes to Secrets.
func (c *channel) tokenSource(values map[string]string) oauth2.TokenSource {
	o := c.config.Auth.OAuth2
	if o == nil {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: values[KeyAccessToken]})
	}
	// The context carries the guarded client: a Channel names the URL.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, c.client)
	if values[KeyRefreshToken] == "" {
		config := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: values[KeyClientSecret], TokenURL: o.TokenURL, Scopes: o.Scopes}
		return config.TokenSource(ctx)
	}
	config := oauth2.Config{ClientID: o.ClientID, ClientSecret: values[KeyClientSecret], Scopes: o.Scopes, Endpoint: oauth2.Endpoint{TokenURL: o.TokenURL}}
	return config.TokenSource(ctx, &oauth2.Token{RefreshToken: values[KeyRefreshToken]})
}

// tokenError classes a refusal to give an access token (RFC 6749 section 5.2).
func (c *channel) tokenError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return c.redact(dialError(hostOf(c.config.Auth.OAuth2.TokenURL), err))
	}
	status := refused.Response.StatusCode
	e := &platform.Error{Class: wire.ErrAuthInvalid, Reason: fmt.Sprintf("no access token: %s %s", refused.ErrorCode, firstLine(refused.ErrorDescription))}
	if refused.ErrorCode == "" {
		e.Reason = fmt.Sprintf("no access token: HTTP %d from %s", status, hostOf(c.config.Auth.OAuth2.TokenURL))
	}
	switch {
	case status == http.StatusTooManyRequests || status >= 500 || passingTokenErrors[refused.ErrorCode]:
		e.Class = wire.ErrRetryable // the server's trouble, whatever its code says
	case refused.ErrorCode == "" && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status < 400):
		e.Class = wire.ErrMisconfigured
	}
	return c.redact(e)
}

// passingTokenErrors are codes of an outage: those of RFC 6749 section 4.1.2.1,
// which Microsoft says at the token's address, too, and Google's.
var passingTokenErrors = map[string]bool{"temporarily_unavailable": true, "server_error": true, "internal_failure": true}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return clip(line)
}
