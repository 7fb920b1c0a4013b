package telegram

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

type object = map[string]any

func TestSendMakesTheRightRequest(t *testing.T) {
	buttons := []message.Button{{Title: "Yes", Payload: "yes"}, {Title: "Site", URL: "https://example.com"}}
	markup := object{"inline_keyboard": []any{
		[]any{object{"text": "Yes", "callback_data": "yes"}}, []any{object{"text": "Site", "url": "https://example.com"}},
	}}
	attachment := func(kind message.Type, mimeType string) wire.Part {
		return wire.Part{Attachment: &message.Attachment{Kind: kind, URL: "https://example.com/f", MimeType: mimeType}}
	}
	const url = "https://example.com/f"
	tests := []struct {
		name   string
		out    platform.Outgoing
		method string
		fields object
	}{
		{"text", platform.Outgoing{To: "5", Part: wire.Part{Text: "a_b *c* <d>"}}, "sendMessage", object{"chat_id": 5.0, "text": "a_b *c* <d>"}},
		{"answer with buttons", platform.Outgoing{To: "5", ReplyTo: "5:7", Part: wire.Part{Text: "x", Buttons: buttons}}, "sendMessage",
			object{"chat_id": 5.0, "text": "x", "reply_markup": markup, "reply_parameters": object{"message_id": 7.0, "allow_sending_without_reply": true}}},
		{"topic", platform.Outgoing{To: "-100123/9", Part: wire.Part{Text: "x"}}, "sendMessage", object{"chat_id": -100123.0, "message_thread_id": 9.0, "text": "x"}},
		{"business", platform.Outgoing{To: "5@Abc", ReplyTo: "5@Abc:7", Part: wire.Part{Text: "x"}}, "sendMessage",
			object{"chat_id": 5.0, "business_connection_id": "Abc", "text": "x", "reply_parameters": object{"message_id": 7.0, "allow_sending_without_reply": true}}},
		{"answer to a button, which is no message", platform.Outgoing{To: "5", ReplyTo: "update:7", Part: wire.Part{Text: "x"}}, "sendMessage", object{"chat_id": 5.0, "text": "x"}},
		{"answer to a message of another chat", platform.Outgoing{To: "5", ReplyTo: "6:7", Part: wire.Part{Text: "x"}}, "sendMessage", object{"chat_id": 5.0, "text": "x"}},
		{"location", platform.Outgoing{To: "5", Part: wire.Part{Location: &message.Location{Latitude: 1.5, Longitude: -2.5}}}, "sendLocation", object{"chat_id": 5.0, "latitude": 1.5, "longitude": -2.5}},
		{"venue", platform.Outgoing{To: "5", Part: wire.Part{Location: &message.Location{Latitude: 1.5, Longitude: -2.5, Name: "Shop"}, Buttons: buttons}}, "sendVenue",
			object{"chat_id": 5.0, "latitude": 1.5, "longitude": -2.5, "title": "Shop", "address": "Shop", "reply_markup": markup}},
		{"photo with caption", platform.Outgoing{To: "5", Part: wire.Part{Attachment: &message.Attachment{Kind: message.TypeImage, URL: url, Caption: "c"}}}, "sendPhoto", object{"chat_id": 5.0, "photo": url, "caption": "c"}},
		{"gif", platform.Outgoing{To: "5", Part: attachment(message.TypeImage, "image/gif")}, "sendAnimation", object{"chat_id": 5.0, "animation": url}},
		{"picture that Telegram does not show", platform.Outgoing{To: "5", Part: attachment(message.TypeImage, "image/tiff")}, "sendDocument", object{"chat_id": 5.0, "document": url}},
		{"video", platform.Outgoing{To: "5", Part: attachment(message.TypeVideo, "video/mp4")}, "sendVideo", object{"chat_id": 5.0, "video": url}},
		{"video of another format", platform.Outgoing{To: "5", Part: attachment(message.TypeVideo, "video/webm")}, "sendDocument", object{"chat_id": 5.0, "document": url}},
		{"audio", platform.Outgoing{To: "5", Part: attachment(message.TypeAudio, "audio/mpeg")}, "sendAudio", object{"chat_id": 5.0, "audio": url}},
		{"voice", platform.Outgoing{To: "5", Part: attachment(message.TypeAudio, "audio/ogg; codecs=opus")}, "sendVoice", object{"chat_id": 5.0, "voice": url}},
		{"audio of another format", platform.Outgoing{To: "5", Part: attachment(message.TypeAudio, "audio/wav")}, "sendDocument", object{"chat_id": 5.0, "document": url}},
		{"file", platform.Outgoing{To: "5", Part: attachment(message.TypeFile, "application/pdf")}, "sendDocument", object{"chat_id": 5.0, "document": url}},
		{"sticker", platform.Outgoing{To: "5", Part: attachment(message.TypeSticker, "image/webp")}, "sendSticker", object{"chat_id": 5.0, "sticker": url}},
		{"edit", platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeEdit, Target: "5:7", Text: "new", Buttons: buttons}}, "editMessageText", object{"chat_id": 5.0, "message_id": 7.0, "text": "new", "reply_markup": markup}},
		{"edit in a business chat", platform.Outgoing{To: "5@Abc", Part: wire.Part{Action: message.TypeEdit, Target: "5@Abc:7", Text: "new"}}, "editMessageText", object{"chat_id": 5.0, "message_id": 7.0, "text": "new", "business_connection_id": "Abc"}},
		{"deletion", platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeDeletion, Target: "5:7"}}, "deleteMessage", object{"chat_id": 5.0, "message_id": 7.0}},
		{"deletion in a business chat", platform.Outgoing{To: "5@Abc", Part: wire.Part{Action: message.TypeDeletion, Target: "5@Abc:7"}}, "deleteBusinessMessages", object{"business_connection_id": "Abc", "message_ids": []any{7.0}}},
		{"reaction", platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeReaction, Target: "5:7", Emoji: "👍"}}, "setMessageReaction",
			object{"chat_id": 5.0, "message_id": 7.0, "reaction": []any{object{"type": "emoji", "emoji": "👍"}}}},
		{"custom reaction", platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeReaction, Target: "5:7", Emoji: "custom:9"}}, "setMessageReaction",
			object{"chat_id": 5.0, "message_id": 7.0, "reaction": []any{object{"type": "custom_emoji", "custom_emoji_id": "9"}}}},
		{"reaction taken off", platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeReaction, Target: "5:7"}}, "setMessageReaction", object{"chat_id": 5.0, "message_id": 7.0, "reaction": []any{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, p := newAPI(t), New()
			result, err := p.Send(t.Context(), a.load(t, p, nil), tt.out)
			require.NoError(t, err)
			calls := a.made()
			require.Len(t, calls, 1)
			require.Equal(t, tt.method, calls[0].Method)
			require.Empty(t, cmp.Diff(tt.fields, calls[0].Fields))
			if tt.out.Part.Action != "" {
				require.Empty(t, result.ExternalIDs, "an action makes no message")
				return
			}
			to, _ := parseAddress(tt.out.To)
			to.chat = 5 // the chat that the answer names
			require.Equal(t, []string{to.message(42)}, result.ExternalIDs)
			require.Equal(t, time.Unix(1700000001, 0).UTC(), result.SentAt)
		})
	}
}

func openText(text string) func(context.Context, string) (io.ReadCloser, error) {
	return func(context.Context, string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	}
}

func TestSendUploadsMediaOfTheStore(t *testing.T) {
	a, p := newAPI(t), New()
	part := wire.Part{
		Attachment: &message.Attachment{Kind: message.TypeFile, MediaID: "m1", Name: "a \"b\"\r\nX: y.pdf", Caption: "c"},
		Buttons:    []message.Button{{Title: "Yes", Payload: "yes"}},
	}
	_, err := p.Send(t.Context(), a.load(t, p, nil), platform.Outgoing{To: "5", ReplyTo: "5:7", Part: part, OpenMedia: openText("the bytes")})
	require.NoError(t, err)
	c := a.made()[0]
	require.Equal(t, "sendDocument", c.Method)
	require.Equal(t, object{
		"chat_id": "5", "caption": "c", "reply_markup": `{"inline_keyboard":[[{"text":"Yes","callback_data":"yes"}]]}`,
		"reply_parameters": `{"allow_sending_without_reply":true,"message_id":7}`,
	}, c.Fields)
	require.Len(t, c.Files, 1)
	require.True(t, strings.HasSuffix(c.Files["document"], ": the bytes"))

	a.reset()
	part.Attachment = &message.Attachment{Kind: message.TypeImage, MediaID: "m1", Size: maxPhoto + 1}
	_, err = p.Send(t.Context(), a.load(t, p, nil), platform.Outgoing{To: "5", Part: part, OpenMedia: openText("huge")})
	require.NoError(t, err)
	require.Equal(t, "sendDocument", a.made()[0].Method, "a photo beyond the limit arrives as a file")
}

// endless is a stream that ends only with the one who reads it.
type endless struct{ closed chan struct{} }

func (e endless) Read(p []byte) (int, error) {
	select {
	case <-e.closed:
		return 0, io.ErrClosedPipe
	default:
		return len(p), nil
	}
}

func (e endless) Close() error { close(e.closed); return nil }

func TestSendStreamsMediaAndStopsWithTheAnswer(t *testing.T) {
	// A server that answers without reading: with the file in memory, this would not end.
	refusing := newAPI(t)
	refusing.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, refused(413, "Request Entity Too Large", "").Body)
	})
	p := New()
	stream := endless{make(chan struct{})}
	_, err := p.Send(t.Context(), refusing.load(t, p, nil), platform.Outgoing{
		To: "5", Part: wire.Part{Attachment: &message.Attachment{Kind: message.TypeFile, MediaID: "m"}},
		OpenMedia: func(context.Context, string) (io.ReadCloser, error) { return stream, nil },
	})
	require.Error(t, err)
	<-stream.closed
}

func TestSendDoesNotSendHalfAFile(t *testing.T) {
	a, p := newAPI(t), New()
	broken := func(context.Context, string) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<16)), failing{})), nil
	}
	part := wire.Part{Attachment: &message.Attachment{Kind: message.TypeFile, MediaID: "m"}}
	_, err := p.Send(t.Context(), a.load(t, p, nil), platform.Outgoing{To: "5", Part: part, OpenMedia: broken})
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrRetryable, e.Class)
	require.False(t, e.MaybeSent)
	require.ErrorIs(t, err, errDisk)
	require.Eventually(t, func() bool { return len(a.made()) == 1 }, time.Minute, time.Millisecond)
	require.Equal(t, true, a.made()[0].Fields["broken"], "the form has no end, so the server refuses it")

	missing := func(context.Context, string) (io.ReadCloser, error) { return nil, errDisk }
	_, err = p.Send(t.Context(), a.load(t, p, nil), platform.Outgoing{To: "5", Part: part, OpenMedia: missing})
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrRetryable, e.Class)
}

var errDisk = errors.New("disk")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errDisk }

func TestEditFallsBackToTheCaption(t *testing.T) {
	a, p := newAPI(t), New()
	a.refuse("editMessageText", 400, "Bad Request: there is no text in the message to edit")
	part := wire.Part{Action: message.TypeEdit, Target: "5:7", Text: "new"}
	_, err := p.Send(t.Context(), a.load(t, p, nil), platform.Outgoing{To: "5", Part: part})
	require.NoError(t, err)
	require.Equal(t, object{"chat_id": 5.0, "message_id": 7.0, "caption": "new"}, a.made("editMessageCaption")[0].Fields)
}

func TestWhatStandsAlreadyIsNoFailure(t *testing.T) {
	a, p := newAPI(t), New()
	ch := a.load(t, p, nil)
	a.refuse("editMessageText", 400, "Bad Request: message is not modified: specified new message content and reply markup are exactly the same")
	a.refuse("deleteMessage", 400, "Bad Request: message to delete not found")
	a.refuse("answerCallbackQuery", 400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
	for _, action := range []message.Type{message.TypeEdit, message.TypeDeletion} {
		_, err := p.Send(t.Context(), ch, platform.Outgoing{To: "5", Part: wire.Part{Action: action, Target: "5:7", Text: "x"}})
		require.NoError(t, err, action)
	}
	pressed := message.Event{ExternalID: "callback:1", Message: &message.Message{Type: message.TypePostback}}
	require.NoError(t, p.Ack(t.Context(), ch, pressed))
}

func TestSendRefusesWhatCannotBe(t *testing.T) {
	a, p := newAPI(t), New()
	ch := a.load(t, p, nil)
	for _, tt := range []struct {
		out   platform.Outgoing
		class wire.ErrorClass
	}{
		{platform.Outgoing{To: "nobody", Part: wire.Part{Text: "x"}}, wire.ErrRecipientGone},
		{platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeDeletion, Target: "update:7x"}}, wire.ErrContentRejected},
		{platform.Outgoing{To: "5", Part: wire.Part{Action: message.TypeTemplate, Target: "5:7"}}, wire.ErrContentRejected},
		{platform.Outgoing{To: "5@Abc", Part: wire.Part{Action: message.TypeReaction, Target: "5@Abc:7", Emoji: "👍"}}, wire.ErrContentRejected},
		{platform.Outgoing{To: "5", Part: wire.Part{Attachment: &message.Attachment{Kind: message.TypeFile, MediaID: "m"}}}, wire.ErrRetryable},
	} {
		_, err := p.Send(t.Context(), ch, tt.out)
		var e *platform.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, tt.class, e.Class, e.Reason)
		require.False(t, e.MaybeSent)
	}
	require.Empty(t, a.made(), "nothing was asked of Telegram")
}

func TestARateLimitInAGroupIsTheGroups(t *testing.T) {
	a, p := newAPI(t), New()
	a.handle("sendMessage", func(call) (int, string) {
		return 429, refused(429, "Too Many Requests: retry after 3", `{"retry_after":3}`).Body
	})
	for to, scope := range map[string]wire.RateScope{"5": wire.ScopeChannel, "-100123/4": wire.ScopeContact} {
		_, err := p.Send(t.Context(), a.load(t, p, nil), platform.Outgoing{To: to, Part: wire.Part{Text: "x"}})
		var e *platform.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, scope, e.Scope, to)
		require.Equal(t, 3*time.Second, e.RetryAfter)
	}
}

func TestAck(t *testing.T) {
	a, p := newAPI(t), New()
	ch := a.load(t, p, nil)
	events, err := p.Parse(testAccount, []byte(`{"update_id":1,"callback_query":{"id":"77","from":{"id":5},"data":"x","message":{"message_id":3,"date":1,"chat":{"id":5,"type":"private"}}}}`))
	require.NoError(t, err)
	require.Len(t, events, 1)
	require.NoError(t, p.Ack(t.Context(), ch, events[0]))
	require.Equal(t, object{"callback_query_id": "77"}, a.made("answerCallbackQuery")[0].Fields)

	a.reset()
	require.NoError(t, p.Ack(t.Context(), ch, message.Event{ExternalID: "update:1", Message: &message.Message{Type: message.TypeText}}))
	require.Empty(t, a.made(), "only buttons wait for a word")
}

func TestFetchMedia(t *testing.T) {
	a, p := newAPI(t), New()
	files := a.Config.Handler
	a.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/file/bot" + testToken + "/photos/file 1.jpg":
			w.Header().Set("Content-Type", "application/octet-stream")
			_, _ = io.WriteString(w, "pixels")
		case "/file/bot" + testToken + "/gone.jpg":
			http.Error(w, testToken, http.StatusNotFound)
		default:
			files.ServeHTTP(w, r)
		}
	})
	ch := a.load(t, p, nil)
	a.answer("getFile", `{"file_id":"F","file_path":"photos/file 1.jpg"}`)
	m, err := p.FetchMedia(t.Context(), ch, "F#unique")
	require.NoError(t, err)
	body, err := io.ReadAll(m.Body)
	require.NoError(t, err)
	require.NoError(t, m.Body.Close())
	require.Equal(t, "pixels", string(body))
	require.Equal(t, platform.Media{Body: m.Body, Size: 6}, m)
	require.Equal(t, object{"file_id": "F"}, a.made("getFile")[0].Fields)

	for description, class := range map[string]wire.ErrorClass{
		"Bad Request: file is too big":                                      wire.ErrContentRejected,
		"Bad Request: wrong file_id or the file is temporarily unavailable": wire.ErrRetryable,
	} {
		a.refuse("getFile", 400, description)
		_, err = p.FetchMedia(t.Context(), ch, "F")
		var e *platform.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, class, e.Class)
	}
	for path, class := range map[string]wire.ErrorClass{
		"gone.jpg": wire.ErrRetryable, "": wire.ErrContentRejected, "/var/lib/file": wire.ErrMisconfigured, "../../getMe": wire.ErrMisconfigured,
	} {
		a.answer("getFile", fmt.Sprintf(`{"file_path":%q}`, path))
		_, err = p.FetchMedia(t.Context(), ch, "F")
		var e *platform.Error
		require.ErrorAs(t, err, &e, path)
		require.Equal(t, class, e.Class, path)
		require.NotContains(t, fmt.Sprintf("%+v", err), testToken)
	}
}
