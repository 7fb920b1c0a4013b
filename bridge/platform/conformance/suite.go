package conformance

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Suite is what a platform brings along. All fields are required unless they
// say otherwise. A platform that is polled only leaves Sign out; one that is not
// spoken to by HTTP has Outbound in place of Sent, TextOf, Probed and Stranger.
type Suite struct {
	Platform platform.Platform
	// Spec is a channel that loads.
	Spec document.Channel
	// Rotated are other credentials of the same account.
	Rotated map[string]string
	// Sign makes a webhook request as the platform does with these credentials.
	Sign func(credentials map[string]string, body []byte) platform.Request
	// BodySigned says that the signature covers the body.
	BodySigned bool

	// Fixtures is a folder with payloads NAME.json (or any other ending) and
	// their events NAME.golden.json.
	Fixtures string
	// Text makes the payload of a contact writing a text. n tells messages apart.
	Text func(n int, text string) []byte
	// AsWritten is a text as the platform's medium carries it (mail: one kind of
	// line end, none at the end). Nil: to the letter.
	AsWritten func(text string) string
	// Batch joins payloads into one request. Nil: a request is always one thing.
	Batch func(payloads [][]byte) []byte
	// Own names fixtures of what the channel itself sent: they become nothing, or
	// the proof that a part of ours was sent.
	Own []string
	// Echoes names fixtures of what people wrote in the platform's own app.
	Echoes []string

	// Contact is somebody to send to.
	Contact string
	// Sent answers a send, and names the external ids that come of it.
	Sent Reply
	IDs  []string
	// TextOf takes the text out of a request that Send made.
	TextOf func(r *http.Request, body []byte) string
	// Refusals are the platform's answers to a send and what they mean.
	Refusals []Refusal
	// Probed answers a probe for Spec's account, Stranger one for another account.
	Probed, Stranger Reply
	// Outbound is for platforms that are not spoken to by HTTP.
	Outbound *Outbound
}

// Outbound is how a platform is sent to by a protocol other than HTTP. Probes
// are tested by the platform itself.
type Outbound struct {
	// Spec is a channel that sends to endpoint.
	Spec func(endpoint string) document.Channel
	// Serve runs a server that answers a send with reply; one without a body is
	// the success. texts are those that it got since it was last asked.
	Serve func(t testing.TB, reply Reply) (endpoint string, texts func() []string)
	// Breaks are networks that break.
	Breaks []Break
}

// Break is a network that breaks, and whether a send may have arrived.
type Break struct {
	Name      string
	Endpoint  func(t *testing.T) string
	MaybeSent bool
}

// Reply is an answer of the platform.
type Reply struct {
	Status int
	Header http.Header
	Body   string
}

// Refusal is an answer to a send, and the error that it must become.
type Refusal struct {
	Name       string
	Reply      Reply
	Class      wire.ErrorClass
	RetryAfter time.Duration
	Scope      wire.RateScope
	MaybeSent  bool
	NewAddress string
}

// Run checks a platform against every rule.
func Run(t *testing.T, s Suite) {
	rules := []struct {
		name  string
		check func(*testing.T, Suite)
	}{
		{"capabilities are consistent", capabilities},
		{"load names the field", load},
		{"signature right, wrong, missing, altered", signature},
		{"signature rotated and expired", rotation},
		{"signature replayed", replay},
		{"golden events", golden},
		{"the same payload gives the same ids", duplicates},
		{"every element of a batch is walked", batch},
		{"elements name their account where one URL serves several", accounts},
		{"unicode arrives as it was written", unicodeText},
		{"own messages are suppressed, echoes are outbound", echoes},
		{"receipts are all known", receipts},
		{"garbage never panics", garbage},
		{"text is split at the limit and sent as planned", splitting},
		{"a send names what it made", sending},
		{"refusals have their class", refusals},
		{"a broken network has its class", network},
		{"probe tells whose credentials they are", probe},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.check(t, s) })
	}
}

const channelName = "conformance/channel"

// loaded is a channel that talks to endpoint (empty: it talks to nobody).
func (s Suite) loaded(t require.TestingT, endpoint string) platform.Channel {
	if s.Outbound != nil {
		if endpoint != "" {
			s.Spec = s.Outbound.Spec(endpoint)
		}
		endpoint = ""
	} else if endpoint == "" {
		endpoint = "http://127.0.0.1:1"
	}
	ch, err := s.Platform.Load(ctx, platform.LoadSpec{
		Name: channelName, Spec: s.Spec, Endpoint: endpoint, AllowPrivate: true,
		Client: platform.NewClient(platform.GuardOptions{AllowPrivate: true, Timeout: 10 * time.Second}),
	})
	require.NoError(t, err)
	require.Equal(t, channelName, ch.Name())
	return ch
}

func capabilities(t *testing.T, s Suite) {
	caps := s.Platform.Capabilities()
	require.NotEmpty(t, s.Platform.Name())
	require.Contains(t, []platform.Maintenance{platform.Maintained, platform.Experimental}, caps.Maintenance)
	require.NotEmpty(t, caps.Receive)
	require.Positive(t, caps.MaxBody)
	for _, r := range caps.Receive {
		switch r {
		case document.ReceivePolling:
			require.Implements(t, (*platform.Poller)(nil), s.Platform)
		case document.ReceiveWebhook:
			require.Positive(t, caps.Patience, "a webhook is answered within some time")
		default:
			t.Errorf("unknown way to receive %q", r)
		}
	}
	for _, limit := range []platform.TextLimit{caps.Text, caps.Caption, caps.ButtonPayload, caps.ButtonTitle, caps.ButtonText} {
		if limit.Max > 0 {
			require.Contains(t, []platform.Unit{platform.UnitBytes, platform.UnitGraphemes, platform.UnitRunes, platform.UnitUTF16}, limit.Unit)
		}
	}
	for _, kind := range append(caps.Attachments, caps.Uncaptioned...) {
		require.Contains(t, []message.Type{message.TypeImage, message.TypeAudio, message.TypeVideo, message.TypeFile, message.TypeSticker}, kind)
	}
	require.Subset(t, caps.Attachments, caps.Uncaptioned)
	require.True(t, caps.AgentWindow == 0 || caps.AgentWindow > caps.Window, "people may answer for longer than the window, not for less")
	require.True(t, caps.AdWindow == 0 || caps.AdWindow > caps.Window && caps.AdSource != "", "an ad opens the window for longer, and is told by its source")
	require.Subset(t, []message.Type{message.TypeReaction, message.TypeEdit, message.TypeDeletion}, caps.WindowOpeners, "a message opens it anyway")
	require.True(t, caps.Window > 0 || len(caps.WindowOpeners) == 0 && caps.AdWindow == 0, "there is a window to open")
	require.True(t, caps.QuickReplies == 0 || caps.Buttons > 0, "two styles of buttons, or none")
	if caps.MaxMedia > 0 {
		require.Implements(t, (*platform.MediaFetcher)(nil), s.Platform)
	}
	require.NotEmpty(t, caps.Secrets)
	for _, k := range caps.Secrets {
		require.NotEmpty(t, k.Name)
		require.NotEmpty(t, k.Description, k.Name)
	}
}
