package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

var update = flag.Bool("update", false, "write the golden files of the platform")

var ctx = context.Background()

func load(t *testing.T, s Suite) {
	ch := s.loaded(t, "")
	for _, key := range s.Platform.Capabilities().Secrets {
		if value := s.Spec.Credentials[key.Name]; value != "" {
			require.Contains(t, ch.Secrets(), value, "the redactor must know %s", key.Name)
		}
		if !key.Required {
			continue
		}
		spec := s.Spec
		spec.Credentials = maps.Clone(spec.Credentials)
		delete(spec.Credentials, key.Name)
		s.refuses(t, spec, "credentials")
	}
	spec := s.Spec
	spec.Config = json.RawMessage(`"not an object"`)
	s.refuses(t, spec, s.Platform.Name())
}

// refuses checks that a spec does not load and that the error names the field
// and no secret.
func (s Suite) refuses(t *testing.T, spec document.Channel, field string) {
	_, err := s.Platform.Load(ctx, platform.LoadSpec{Name: channelName, Spec: spec, AllowPrivate: true})
	var fieldError *platform.FieldError
	require.ErrorAs(t, err, &fieldError)
	require.Equal(t, field, fieldError.Field)
	require.NotEmpty(t, fieldError.Message)
	noSecrets(t, err, slices.Collect(maps.Values(s.Spec.Credentials)))
}

// called says whether the platform calls a URL.
func (s Suite) called() bool {
	return slices.Contains(s.Platform.Capabilities().Receive, document.ReceiveWebhook)
}

// sign makes a request; where nothing calls, it is any request.
func (s Suite) sign(credentials map[string]string, body []byte) platform.Request {
	if s.Sign != nil {
		return s.Sign(credentials, body)
	}
	r := platform.Request{Method: http.MethodPost, URL: "https://chat.example.com/", Header: http.Header{}, Body: body}
	for _, value := range credentials {
		r.Header.Set("Authorization", "Bearer "+value)
	}
	return r
}

func signature(t *testing.T, s Suite) {
	ch, now, body := s.loaded(t, ""), time.Now(), s.Text(1, "hello")
	if !s.called() {
		require.Nil(t, s.Sign)
		require.False(t, s.Platform.Verify(ch, s.sign(s.Spec.Credentials, body), now), "nothing calls, so nobody is let in")
		return
	}
	right := s.Sign(s.Spec.Credentials, body)
	require.True(t, s.Platform.Verify(ch, right, now), "right")
	require.False(t, s.Platform.Verify(ch, s.Sign(s.Rotated, body), now), "of other credentials")

	bare := right
	bare.Header, bare.URL = nil, strings.SplitN(right.URL, "?", 2)[0]
	require.False(t, s.Platform.Verify(ch, bare, now), "none at all")
	for name, values := range right.Header {
		if slices.Contains([]string{"Content-Type", "Content-Length", "Host"}, name) {
			continue
		}
		for _, value := range []string{"", values[0] + "x", values[0][:len(values[0])-1], strings.ToUpper(values[0]) + "A", "\x00"} {
			wrong := right
			wrong.Header = right.Header.Clone()
			wrong.Header.Set(name, value)
			require.False(t, s.Platform.Verify(ch, wrong, now), "%s: %q", name, value)
		}
	}
	if s.BodySigned {
		altered := right
		altered.Body = append(bytes.Clone(body), ' ')
		require.False(t, s.Platform.Verify(ch, altered, now), "body altered")
	}
}

func rotation(t *testing.T, s Suite) {
	now := time.Now()
	body := s.Text(1, "hello")
	rotated := s
	rotated.Spec.Credentials = s.Rotated
	rotated.Spec.PreviousCredentials = []document.PreviousCredentials{{Values: s.Spec.Credentials, Until: now.Add(time.Hour)}}
	ch := rotated.loaded(t, "")
	for _, value := range s.Spec.Credentials {
		require.Contains(t, ch.Secrets(), value, "the redactor must know rotated-out secrets")
	}
	if !s.called() {
		return
	}
	before, after := s.Sign(s.Spec.Credentials, body), s.Sign(s.Rotated, body)
	require.True(t, s.Platform.Verify(ch, after, now), "new")
	require.True(t, s.Platform.Verify(ch, before, now), "old, within the overlap")
	require.True(t, s.Platform.Verify(ch, before, now.Add(time.Hour-time.Second)), "old, at the end of the overlap")
	require.False(t, s.Platform.Verify(ch, before, now.Add(time.Hour)), "old, after the overlap")
}

// replay: a request that is sent again verifies again and means the same, so
// that the store's unique key makes it one.
func replay(t *testing.T, s Suite) {
	ch, now := s.loaded(t, ""), time.Now()
	r := s.sign(s.Spec.Credentials, s.Text(1, "hello"))
	require.Equal(t, s.called(), s.Platform.Verify(ch, r, now))
	require.Equal(t, s.called(), s.Platform.Verify(ch, r, now))
	require.Equal(t, keys(s.parse(t, r.Body)), keys(s.parse(t, r.Body)))
}

func (s Suite) parse(t require.TestingT, body []byte) []message.Event {
	events, err := s.Platform.Parse(s.Spec.Account, body)
	require.NoError(t, err)
	return events
}

// fixture is a payload with the path of its golden file.
type fixture struct {
	name, golden string
	payload      []byte
}

func (s Suite) fixtures(t require.TestingT) []fixture {
	files, err := filepath.Glob(filepath.Join(s.Fixtures, "*.*"))
	require.NoError(t, err)
	var out []fixture
	for _, f := range files {
		if strings.HasSuffix(f, ".golden.json") {
			continue
		}
		payload, err := os.ReadFile(f)
		require.NoError(t, err)
		base := strings.TrimSuffix(f, filepath.Ext(f))
		out = append(out, fixture{name: filepath.Base(base), golden: base + ".golden.json", payload: payload})
	}
	require.NotEmpty(t, out, "no fixtures in %s", s.Fixtures)
	return out
}

func golden(t *testing.T, s Suite) {
	for _, f := range s.fixtures(t) {
		t.Run(f.name, func(t *testing.T) {
			events := s.parse(t, f.payload)
			for _, e := range events {
				s.checkEvent(t, e)
			}
			got, err := json.MarshalIndent(events, "", "  ")
			require.NoError(t, err)
			got = append(got, '\n')
			if *update {
				require.NoError(t, os.WriteFile(f.golden, got, 0o644))
			}
			want, err := os.ReadFile(f.golden)
			require.NoError(t, err, "run the test with -update")
			require.Empty(t, cmp.Diff(string(want), string(got)))
		})
	}
}

// checkEvent holds what the store relies on.
func (s Suite) checkEvent(t *testing.T, e message.Event) {
	set := 0
	for _, is := range []bool{e.Message != nil, e.Receipt != nil, e.Membership != nil, e.Migration != nil} {
		if is {
			set++
		}
	}
	require.Equal(t, 1, set, "an event is one thing")
	require.Equal(t, s.Spec.Account, e.Account)
	require.NotEmpty(t, keyOf(e), "an event has a key")
	if m := e.Message; m != nil {
		require.Contains(t, message.Types, m.Type)
		require.NotNil(t, m.Contact)
		require.NotEmpty(t, m.Contact.ExternalID)
		require.Equal(t, m.Type == message.TypeUnsupported, m.Unsupported != "")
		require.Equal(t, m.Direction == message.Outbound, m.Echo, "what is outbound on the way in is an echo")
		require.True(t, m.Timestamp.IsZero() || m.Timestamp.Year() > 2000 && m.Timestamp.Year() < 3000, "a time in another unit: %s", m.Timestamp)
		require.True(t, utf8.ValidString(m.Text))
		for _, a := range m.Attachments {
			require.NotEmpty(t, a.Kind)
			require.Equal(t, a.State == message.MediaUnavailable, a.Reason != "")
			require.True(t, a.State == message.MediaUnavailable || a.Ref != "", "something to fetch it by")
			require.Empty(t, a.URL, "a platform's link may hold a token; it is never kept")
		}
	}
	for _, id := range []string{keyOf(e)} {
		require.NotRegexp(t, `[0-9]e\+[0-9]`, id, "an id went through a float")
	}
}

// keyOf is the external id in the store's unique key.
func keyOf(e message.Event) string {
	switch {
	case e.Message != nil && e.Message.ExternalID != "":
		return e.Message.ExternalID
	case e.ExternalID != "":
		return e.ExternalID
	case e.Receipt != nil && e.Receipt.ExternalID != "":
		return e.Receipt.ExternalID
	case e.Receipt != nil && !e.Receipt.Watermark.IsZero():
		return e.Receipt.Contact + e.Receipt.Watermark.String()
	case e.Migration != nil:
		return e.Migration.From + e.Migration.To
	}
	return ""
}

func keys(events []message.Event) []string {
	out := make([]string, 0, len(events))
	for _, e := range events {
		direction := ""
		if e.Message != nil {
			direction = string(e.Message.Direction)
		}
		out = append(out, e.Kind()+" "+direction+" "+keyOf(e))
	}
	return out
}

func duplicates(t *testing.T, s Suite) {
	for _, f := range s.fixtures(t) {
		first, second := s.parse(t, f.payload), s.parse(t, f.payload)
		require.Empty(t, cmp.Diff(first, second), f.name)
		unique := keys(first)
		slices.Sort(unique)
		require.Len(t, slices.Compact(unique), len(first), "%s: two events with one key would become one", f.name)
	}
	one, other := s.parse(t, s.Text(1, "same")), s.parse(t, s.Text(2, "same"))
	require.NotEqual(t, keys(one), keys(other), "the same text twice is two messages")
}

func batch(t *testing.T, s Suite) {
	if s.Batch == nil { // then a request must always be one thing
		for _, f := range s.fixtures(t) {
			require.LessOrEqual(t, len(s.parse(t, f.payload)), 1, "%s: name how requests are batched (Suite.Batch)", f.name)
		}
		return
	}
	var payloads [][]byte
	var want []message.Event
	for _, f := range s.fixtures(t) {
		payloads = append(payloads, f.payload)
		want = append(want, s.parse(t, f.payload)...)
	}
	require.Empty(t, cmp.Diff(want, s.parse(t, s.Batch(payloads))))
}

// accounts: at an app's URL nobody but the element says whose it is.
func accounts(t *testing.T, s Suite) {
	if !s.Platform.Capabilities().AppWebhook {
		return // a URL is one account's
	}
	for _, f := range s.fixtures(t) {
		events, err := s.Platform.Parse("", f.payload)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(s.parse(t, f.payload), events), f.name)
	}
}

var texts = []string{
	"plain", " leading and trailing \n", "línea\nzwei\r\n三", "👨‍👩‍👧‍👦🇩🇪👍🏽", "e\u0301 \u0065\u0301", "\u202eright\u202c\u200eto left", "עברית العربية",
	"\\u0041 \\n \" ' < > & %20 {{x}} ${y}", "\u2028\u2029\u00a0\ufeff", "\U0001F600\U000E0001", strings.Repeat("я", 4096),
}

func unicodeText(t *testing.T, s Suite) {
	for i, text := range texts {
		events := s.parse(t, s.Text(i, text))
		require.Len(t, events, 1)
		require.NotNil(t, events[0].Message)
		if s.AsWritten != nil {
			text = s.AsWritten(text)
		}
		require.Equal(t, text, events[0].Message.Text)
	}
}

func echoes(t *testing.T, s Suite) {
	require.NotEmpty(t, s.Own, "name a fixture of what the channel itself sent")
	for _, f := range s.fixtures(t) {
		if slices.Contains(s.Own, f.name) {
			for _, e := range s.parse(t, f.payload) {
				require.NotNil(t, e.Receipt, f.name)
				require.NotEmpty(t, e.Receipt.Delivery, f.name)
			}
		}
		if slices.Contains(s.Echoes, f.name) {
			for _, e := range s.parse(t, f.payload) {
				require.NotNil(t, e.Message, f.name)
				require.True(t, e.Message.Echo && e.Message.Direction == message.Outbound, f.name)
			}
		}
	}
}

// receipts: every status that the platform claims to tell is in some fixture.
// Their order is the store's business; a parser without state cannot mind it.
func receipts(t *testing.T, s Suite) {
	claimed := s.Platform.Capabilities().Receipts
	var seen []message.Status
	for _, f := range s.fixtures(t) {
		for _, e := range s.parse(t, f.payload) {
			if e.Receipt != nil {
				seen = append(seen, e.Receipt.Status)
			}
		}
	}
	require.Subset(t, seen, claimed)
	for _, status := range seen {
		require.True(t, status == message.StatusSent || status == message.StatusFailed || slices.Contains(claimed, status),
			"a receipt says %s, which Capabilities.Receipts does not claim", status)
	}
}

// garbage cuts, doubles and changes every fixture. Which errors come is free;
// that something comes back is not.
func garbage(t *testing.T, s Suite) {
	ch := s.loaded(t, "")
	random := rand.New(rand.NewPCG(1, 2))
	try := func(body []byte) {
		_, _ = s.Platform.Parse(s.Spec.Account, body)
		s.Platform.Verify(ch, s.sign(s.Spec.Credentials, body), time.Now())
	}
	for _, body := range []string{"", "null", "[]", "{}", "[null]", "0", `""`, `{"a":`, "\xff", "[[[[", strings.Repeat("[", 100_000)} {
		try([]byte(body))
	}
	for _, f := range s.fixtures(t) {
		for range 200 {
			body := bytes.Clone(f.payload)
			switch i := random.IntN(len(body)); random.IntN(4) {
			case 0:
				body = body[:i]
			case 1:
				body[i] = byte(random.IntN(256))
			case 2:
				body = slices.Insert(body, i, body[i:]...)
			case 3: // another type where one is expected
				for _, swap := range []string{"1", "null", `"x"`, "{}", "[]", "1e400", "-9223372036854775809"} {
					if at := bytes.IndexByte(body[i:], ':'); at >= 0 {
						try(slices.Concat(body[:i+at+1], []byte(swap+","), body[i+at+1:]))
					}
				}
			}
			try(body)
		}
		swapValues(f.payload, try)
	}
}

// swapValues replaces each value of a JSON payload in turn by one of another type.
func swapValues(payload []byte, try func([]byte)) {
	var root any
	if json.Unmarshal(payload, &root) != nil {
		return
	}
	var walk func(node any)
	walk = func(node any) {
		object, ok := node.(map[string]any)
		if list, isList := node.([]any); isList {
			for _, e := range list {
				walk(e)
			}
		}
		if !ok {
			return
		}
		for key, value := range object {
			for _, other := range []any{nil, 1.5, -1, "x", true, map[string]any{}, []any{}, []any{nil}} {
				object[key] = other
				if body, err := json.Marshal(root); err == nil {
					try(body)
				}
			}
			object[key] = value
			walk(value)
		}
	}
	walk(root)
}

// FuzzParse is the fuzz test of a platform's parser: no payload makes it panic,
// and what it accepts is sound.
func FuzzParse(f *testing.F, s Suite) {
	for _, fx := range s.fixtures(f) {
		f.Add(fx.payload)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := s.Platform.Parse(s.Spec.Account, body)
		if err != nil {
			require.Empty(t, events)
			return
		}
		again, err := s.Platform.Parse(s.Spec.Account, body)
		require.NoError(t, err)
		require.Equal(t, keys(events), keys(again))
		for _, e := range events {
			require.NotEmpty(t, e.Kind())
			require.NotEmpty(t, keyOf(e))
		}
	})
}

// FuzzVerify is the fuzz test of a platform's verification: nothing but the
// right secret opens it.
func FuzzVerify(f *testing.F, s Suite) {
	body := s.Text(1, "hello")
	right := s.sign(s.Spec.Credentials, body)
	for name, values := range right.Header {
		f.Add(name, values[0], body)
	}
	f.Add("", "", []byte(nil))
	ch := s.loaded(f, "")
	f.Fuzz(func(t *testing.T, name, value string, body []byte) {
		r := platform.Request{Method: right.Method, URL: right.URL, Header: map[string][]string{name: {value}}, Body: body}
		genuine := s.sign(s.Spec.Credentials, body)
		if s.Platform.Verify(ch, r, time.Now()) {
			require.True(t, s.called(), "nothing calls, so nobody is let in")
			require.Equal(t, genuine.Header.Get(name), value, "accepted without the right signature")
		}
	})
}
