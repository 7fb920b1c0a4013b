package telegram

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Each kind that is asked for stands in the documentation's table and has a
// fixture, so that none comes in without somebody having thought about it.
func TestEveryKindIsDocumentedAndHasAFixture(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, ".golden.json") {
			continue
		}
		payload, err := os.ReadFile(f)
		require.NoError(t, err)
		updates, err := updatesOf(payload)
		require.NoError(t, err)
		for _, raw := range updates {
			if u, err := decodeUpdate(raw); err == nil {
				seen[u.kind] = true
			}
		}
	}
	for _, kind := range allowedUpdates {
		require.True(t, seen[kind], "testdata has no %s", kind)
		if !strings.HasPrefix(kind, "edited_") {
			require.Contains(t, string(doc), kind, "the table of the package's documentation")
		}
	}
}

func TestServersMayKnowFewerKinds(t *testing.T) {
	var older []string
	for _, kind := range allowedUpdates {
		if !youngUpdates[kind] {
			older = append(older, kind)
		}
	}
	require.True(t, asksForAll(allowedUpdates))
	require.True(t, asksForAll(older), "a server of before Bot API 7.10 does not know all names")
	require.False(t, asksForAll(older[1:]), "messages are missing")
	require.False(t, asksForAll(nil), "Telegram's default is not what was asked for")
	require.False(t, asksForAll(append(older, "something_else")), "somebody asked for more")
}

func TestInlineQueriesAreAnsweredWithNothing(t *testing.T) {
	p, a := New(), newAPI(t)
	ch := a.load(t, p, nil)
	require.Nil(t, p.PayloadAcks([]byte(`{"update_id":1,"message":{"message_id":1,"chat":{"id":5},"text":"no inline_query here"}}`)))
	require.Nil(t, p.PayloadAcks([]byte(`{"update_id":1,"message":{"message_id":1,"chat":{"id":5},"text":"\"inline_query\""}}`)), "a word in a text")
	require.Nil(t, p.PayloadAcks([]byte(`"inline_query" {`)))
	keys := p.PayloadAcks([]byte(`[{"update_id":1,"inline_query":{"id":"17","query":"shoes"}},{"update_id":2,"inline_query":null},{"update_id":3,"inline_query":{"id":"18"}}]`))
	require.Len(t, keys, 2)
	for _, key := range keys {
		require.NoError(t, p.AckPayload(t.Context(), ch, key))
	}
	calls := a.made("answerInlineQuery")
	require.Len(t, calls, 2)
	require.Equal(t, map[string]any{"inline_query_id": "17", "results": []any{}, "cache_time": 60.0, "is_personal": true}, calls[0].Fields)

	a.refuse("answerInlineQuery", 400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
	require.NoError(t, p.AckPayload(t.Context(), ch, keys[0]), "nobody waits for it any more")
	a.refuse("answerInlineQuery", 401, "Unauthorized")
	require.Error(t, p.AckPayload(t.Context(), ch, keys[0]))
	require.NoError(t, p.AckPayload(t.Context(), ch, "other:1"))
}

func TestTwoPeopleOfOneNameAreTwoAuthors(t *testing.T) {
	parse := func(update, user int) *message.Author {
		events, err := New().Parse(testAccount, fmt.Appendf(nil, `{"update_id":%d,"message_reaction":{"chat":{"id":-100,"type":"supergroup"},"message_id":1,
			"user":{"id":%d,"first_name":"Ana"},"date":1700000000,"old_reaction":[],"new_reaction":[{"type":"emoji","emoji":"👍"}]}}`, update, user))
		require.NoError(t, err)
		require.Len(t, events, 1)
		return events[0].Message.Author
	}
	require.Equal(t, &message.Author{Kind: message.AuthorContact, Name: "Ana", ExternalID: "11"}, parse(1, 11))
	require.Equal(t, &message.Author{Kind: message.AuthorContact, Name: "Ana", ExternalID: "12"}, parse(2, 12))
}

func TestUploadsGetTheTimeTheyNeed(t *testing.T) {
	p := New()
	part := func(a message.Attachment) wire.Part { return wire.Part{Attachment: &a} }
	require.Equal(t, callTimeout, p.SendTimeout(wire.Part{Text: "x"}))
	require.Equal(t, callTimeout+fetchTimeout, p.SendTimeout(part(message.Attachment{URL: "https://example.com/a.jpg"})))
	require.Equal(t, callTimeout+4*time.Second, p.SendTimeout(part(message.Attachment{MediaID: "m", Size: 4 * slowestUpload})))
	largest := p.SendTimeout(part(message.Attachment{MediaID: "m", Size: maxUpload}))
	require.Greater(t, largest, 200*time.Second, "50 MB at 2 Mbit/s")
	require.Less(t, largest, 5*time.Minute, "the HTTP client's own limit")
	require.Equal(t, largest, p.SendTimeout(part(message.Attachment{MediaID: "m"})), "of a size that is not told")
}

// withoutValue are messages with the key of a kind whose value is taken away
// again by a key that differs in case, by kind.
func withoutValue() map[string]string {
	bodies := map[string]string{}
	for _, kind := range kinds {
		value := "{}"
		if kind == "photo" {
			value = "[]"
		}
		other := strings.ToUpper(kind[:1]) + kind[1:]
		bodies[kind] = fmt.Sprintf(`{"update_id":1,"message":{"message_id":1,"date":1,"chat":{"id":5,"type":"private"},%q:%s,%q:null}}`, kind, value, other)
	}
	return bodies
}

// What no platform would send comes from whoever knows the secret: it is taken
// in, or the platform's place in line would be held by it for ever.
func TestAKindWithoutItsValueIsUnsupported(t *testing.T) {
	for kind, body := range withoutValue() {
		t.Run(kind, func(t *testing.T) {
			events, err := New().Parse(testAccount, []byte(body))
			require.NoError(t, err)
			require.Len(t, events, 1)
			require.Equal(t, message.TypeUnsupported, events[0].Message.Type)
			require.Contains(t, events[0].Message.Unsupported, kind)
		})
	}
}
