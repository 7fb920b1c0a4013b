package email

import (
	"net/http"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// TestWhatATokenServerRefuses: an outage is none of the credentials.
func TestWhatATokenServerRefuses(t *testing.T) {
	c := &channel{config: Config{Auth: &Auth{Type: AuthOAuth2, OAuth2: &OAuth2{TokenURL: "https://login.test/t"}}}}
	for name, tt := range map[string]struct {
		status int
		code   string
		class  wire.ErrorClass
	}{
		"revoked":                   {http.StatusBadRequest, "invalid_grant", wire.ErrAuthInvalid},
		"Microsoft's outage":        {http.StatusServiceUnavailable, "temporarily_unavailable", wire.ErrRetryable},
		"the same with 400":         {http.StatusBadRequest, "temporarily_unavailable", wire.ErrRetryable},
		"Google's outage":           {http.StatusInternalServerError, "internal_failure", wire.ErrRetryable},
		"an outage of another kind": {http.StatusBadGateway, "invalid_client", wire.ErrRetryable},
		"an outage without words":   {http.StatusBadGateway, "", wire.ErrRetryable},
		"too many":                  {http.StatusTooManyRequests, "invalid_request", wire.ErrRetryable},
		"another address":           {http.StatusNotFound, "", wire.ErrMisconfigured},
		"forbidden":                 {http.StatusForbidden, "", wire.ErrAuthInvalid},
	} {
		err := c.tokenError(&oauth2.RetrieveError{Response: &http.Response{StatusCode: tt.status}, ErrorCode: tt.code})
		var e *platform.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, tt.class, e.Class, name)
		require.NotEmpty(t, e.Reason, name)
	}
}

// TestWhatAMailboxServerRefuses: what is about the moment is told from what is
// about the password, with a code or without.
func TestWhatAMailboxServerRefuses(t *testing.T) {
	for text, tt := range map[string]struct {
		code  imap.ResponseCode
		class wire.ErrorClass
	}{
		"Invalid credentials (Failure)":                       {imap.ResponseCodeAuthenticationFailed, wire.ErrAuthInvalid},
		"LOGIN failed.":                                       {"", wire.ErrAuthInvalid},
		"Application-specific password required":              {imap.ResponseCodeAlert, wire.ErrAuthInvalid},
		"Please log in via your web browser":                  {imap.ResponseCodeAlert, wire.ErrAuthInvalid},
		"Too many simultaneous connections. (Failure)":        {imap.ResponseCodeAlert, wire.ErrRateLimited},
		"Account exceeded command or bandwidth limits.":       {"", wire.ErrRateLimited},
		"Maximum number of connections from user+IP exceeded": {"", wire.ErrRateLimited},
		"Connection limit reached":                            {imap.ResponseCodeLimit, wire.ErrRateLimited},
		"Temporary authentication failure.":                   {imap.ResponseCodeUnavailable, wire.ErrRetryable},
		"Temporary authentication failure. [mail:2026-11-20]": {"", wire.ErrRetryable},
		"Server Unavailable. 15":                              {"", wire.ErrRetryable},
		"User is authenticated but not connected.":            {"", wire.ErrRetryable},
	} {
		err := refusedLogin("imap.test", &imap.Error{Type: imap.StatusResponseTypeNo, Code: tt.code, Text: text})
		var e *platform.Error
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, tt.class, e.Class, text)
		require.Contains(t, e.Reason, text)
	}
}
