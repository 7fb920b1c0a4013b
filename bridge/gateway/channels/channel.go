// Package channels holds what a bridge has loaded from its document: channels
// and tombstones, each with its platform's own view of it.
//
//	document ──Loader.Apply──► Snapshot (immutable) ──Table──► webhook requests
//	   entry by entry,                                 (one     senders, pollers,
//	   bad ones keep their                              atomic  duties
//	   last good version                                load)
package channels

import (
	"net/url"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// Channel is one loaded entry of the document, a channel or a tombstone. It is
// never changed: another version of the entry is another Channel.
type Channel struct {
	Kind       document.EntryKind
	Name       string // "namespace/name"
	Generation int64
	Hash       string // of the entry
	// Spec of the channel; for a tombstone what is known of the former channel.
	Spec         document.Channel
	Platform     platform.Platform
	Capabilities platform.Capabilities
	// Loaded is the platform's own view, made by Platform.Load.
	Loaded platform.Channel

	endpoint string   // base URL it was loaded with
	redacted []string // secrets and their escaped forms, longest first
}

// Key is the entry's key within the document.
func (c *Channel) Key() string { return string(c.Kind) + "/" + c.Name }

// Namespace is the part of the name before the slash.
func (c *Channel) Namespace() string {
	namespace, _, _ := strings.Cut(c.Name, "/")
	return namespace
}

// Endpoint is the base URL that replaces the platform's own; empty: the platform's.
func (c *Channel) Endpoint() string { return c.endpoint }

// maxReason is the longest reason in bytes that leaves the process (logs,
// status, the store). Platforms explain themselves in a sentence; 300 bytes
// keep a condition's message readable and leave no room for a whole payload.
const maxReason = 300

// minSecret is the shortest value that is taken out of texts. Anything shorter
// cannot be a secret (platforms' tokens begin at 16 characters) and would
// tear words apart.
const minSecret = 6

// Redact takes the channel's secrets, and also (the address of a contact, a
// text …) out of a text that is about to leave the process, and bounds it.
func (c *Channel) Redact(text string, also ...string) string {
	for _, s := range c.redacted {
		text = strings.ReplaceAll(text, s, "[redacted]")
	}
	for _, s := range also {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	return truncate(strings.ToValidUTF8(text, "�"), maxReason)
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// redactions lists every form in which a secret may turn up in an error text:
// as it is, and escaped in a URL (Telegram's token is part of the path). The
// longest come first, so that a secret that contains another goes as a whole.
func redactions(secrets []string) []string {
	seen := map[string]bool{}
	var forms []string
	for _, s := range secrets {
		for _, form := range []string{s, url.PathEscape(s), url.QueryEscape(s)} {
			if len(form) >= minSecret && !seen[form] {
				seen[form] = true
				forms = append(forms, form)
			}
		}
	}
	sort.Slice(forms, func(i, j int) bool { return len(forms[i]) > len(forms[j]) })
	return forms
}
