package email

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// TestStartTLSOrNothing: no password goes to a server that does not encrypt, nor
// to one for which somebody on the way speaks. That the name in EHLO is a good
// one, Postfix of the other tests insists on (reject_non_fqdn_helo_hostname).
func TestStartTLSOrNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		command, reply string
		class          wire.ErrorClass
		words          string
	}{
		"not offered":     {"", "", wire.ErrMisconfigured, "offers no STARTTLS"},
		"shutting down":   {"EHLO", "421 4.3.2 shutting down", wire.ErrRetryable, "421"},
		"refused":         {"STARTTLS", "454 4.7.0 TLS not available", wire.ErrRetryable, "454"},
		"words behind it": {"STARTTLS", "220 go on\r\n250-script\r\n250 AUTH PLAIN", wire.ErrRetryable, "in plain after STARTTLS"},
	} {
		s := newScript(t, tt.command, tt.reply)
		s.startTLS = tt.command == "STARTTLS"
		host, port := splitEndpoint(s.address)
		config := Config{
			Address: testAccount, IMAP: IMAP{Server: Server{Host: "127.0.0.1", Port: 1, TLS: TLSNone}},
			SMTP: Server{Host: host, Port: port, TLS: TLSStart},
		}
		_, err := self(loadConfig(t, config, nil)).openSubmission(t.Context())
		var e *platform.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, tt.class, e.Class, name)
		require.Contains(t, e.Reason, tt.words, name)
	}
}
