// Package channels holds what a bridge has loaded from its document: channels
// and tombstones, each with its platform's own view of it.
//
//	document ──Loader.Apply──► Snapshot (immutable) ──Table──► webhook requests
//	   entry by entry,                                 (one     senders, pollers,
//	   bad ones keep their                              atomic  duties
//	   last good version                                load)
package channels

import (
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

	endpoint  string // base URL it was loaded with
	private   bool   // loaded with the client that reaches private addresses
	publicURL string // of the bridge, as it was told to the platform
	secrets   []string
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

// minRedacted is the shortest value beside the secrets that is taken out:
// shorter ones would tear words apart.
const minRedacted = 4

// Redact takes the channel's secrets, and also (the address of a contact, a
// text …) out of a text that is about to leave the process, and bounds it.
func (c *Channel) Redact(text string, also ...string) string {
	text = platform.Redact(text, c.secrets...)
	for _, s := range also {
		if len(s) >= minRedacted {
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
