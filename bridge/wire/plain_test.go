package wire

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// textRequest is what nearly every ingest request is.
func textRequest() IngestRequest {
	at := time.Date(2026, 11, 22, 10, 0, 0, 123e6, time.UTC)
	return IngestRequest{Envelopes: []Envelope{{
		Platform: "messenger", App: "77", ReceivedAt: at, Raw: []byte(`{"object":"page"}`), Transport: "webhook",
		Elements: []Element{{Channel: "shop/page", Event: message.Event{Account: "1", Message: &message.Message{
			Direction: message.Inbound, ExternalID: "m_1", Timestamp: at, Contact: &message.Contact{ExternalID: "7"}, Type: message.TypeText, Text: `<"Grüße"> 👍`,
		}}}},
	}}}
}

// readBoth reads a body in both ways; plain is nil where it was given up.
func readBoth(t require.TestingT, body []byte) (plain, usual *IngestRequest) {
	plain, usual = &IngestRequest{}, &IngestRequest{}
	if !plain.ReadPlain(body) {
		return nil, usual
	}
	require.NoError(t, json.Unmarshal(body, usual))
	require.Equal(t, usual, plain)
	return plain, usual
}

// encodesAlike checks that what a request writes of itself means what encoding/json
// writes.
func encodesAlike(t require.TestingT, req IngestRequest) {
	own, err := req.Encode()
	require.NoError(t, err)
	usual, err := json.Marshal(req)
	require.NoError(t, err)
	var got, want IngestRequest
	require.NoError(t, json.Unmarshal(own, &got))
	require.NoError(t, json.Unmarshal(usual, &want))
	require.Equal(t, want, got)
}

func TestAnswersAreReadAsTheyAreWritten(t *testing.T) {
	one := func(e ...ElementResult) EnvelopeResult { return EnvelopeResult{Elements: e} }
	for _, test := range []struct {
		answer IngestResponse
		plain  bool
	}{
		{IngestResponse{}, false},
		{IngestResponse{Envelopes: []EnvelopeResult{}}, true},
		{IngestResponse{Envelopes: []EnvelopeResult{one(ElementResult{Result: ResultStored, ID: "01J"}, ElementResult{Result: ResultInvalid, Message: `"no" such <thing>`}), {Elements: []ElementResult{}}}}, true},
		{IngestResponse{Envelopes: []EnvelopeResult{{}}}, false},
		{IngestResponse{Envelopes: []EnvelopeResult{{Result: ResultStale, Elements: []ElementResult{{Result: ResultStale}}}}}, false},
	} {
		own, err := test.answer.Encode()
		require.NoError(t, err)
		var usual, plain IngestResponse
		require.NoError(t, json.Unmarshal(own, &usual))
		assert.Equal(t, test.answer, usual)
		assert.Equal(t, test.plain, plain.ReadPlain(own), string(own))
		if test.plain {
			assert.Equal(t, test.answer, plain)
		}
	}
}

func TestATimeThatJSONDoesNotHoldIsAnError(t *testing.T) {
	req := textRequest()
	req.Envelopes[0].ReceivedAt = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err := req.Encode()
	require.Error(t, err)
	req = textRequest()
	req.Envelopes[0].Elements[0].Event.Message.Timestamp = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = req.Encode()
	require.Error(t, err)
}

func TestMessagesOfTextArePlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		req := IngestRequest{Envelopes: []Envelope{}}
		at := rapid.Custom(func(t *rapid.T) time.Time { return time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "ms")).UTC() })
		for range rapid.IntRange(0, 3).Draw(t, "envelopes") {
			e := Envelope{
				Platform: rapid.String().Draw(t, "platform"), ReceivedAt: at.Draw(t, "at"), Raw: rapid.SliceOfN(rapid.Byte(), 1, -1).Draw(t, "raw"),
				Transport: "webhook", Elements: []Element{},
			}
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				e.Elements = append(e.Elements, Element{Channel: "shop/page", Event: message.Event{Message: &message.Message{
					Direction: message.Inbound, ExternalID: rapid.String().Draw(t, "id"), Timestamp: at.Draw(t, "time"), Type: message.TypeText,
					Text: rapid.String().Draw(t, "text"), ReplyTo: rapid.String().Draw(t, "replyTo"),
					Contact: &message.Contact{ExternalID: rapid.String().Draw(t, "contact"), DisplayName: rapid.String().Draw(t, "name")},
				}}})
			}
			req.Envelopes = append(req.Envelopes, e)
		}
		body, err := json.Marshal(req)
		require.NoError(t, err)
		readBoth(t, body)
		encodesAlike(t, req)
	})
	body, err := json.Marshal(textRequest())
	require.NoError(t, err)
	plain, _ := readBoth(t, body)
	require.NotNil(t, plain)
	assert.Equal(t, textRequest(), *plain)
}

// No field of the contract is lost: a request that has it is read the same, or
// given up.
func TestEveryFieldIsReadOrGivenUp(t *testing.T) {
	given := 0
	each := func(at func(*IngestRequest) reflect.Value) {
		base := textRequest()
		for i := range at(&base).NumField() {
			req := textRequest()
			field := at(&req).Field(i)
			fill(field)
			body, err := json.Marshal(req)
			require.NoError(t, err)
			encodesAlike(t, req)
			plain, _ := readBoth(t, body)
			if plain == nil {
				given++
				continue
			}
			require.Equal(t, req, *plain, at(&base).Type().Field(i).Name)
		}
	}
	each(func(r *IngestRequest) reflect.Value { return reflect.ValueOf(&r.Envelopes[0]).Elem() })
	each(func(r *IngestRequest) reflect.Value { return reflect.ValueOf(&r.Envelopes[0].Elements[0].Event).Elem() })
	each(func(r *IngestRequest) reflect.Value {
		return reflect.ValueOf(r.Envelopes[0].Elements[0].Event.Message).Elem()
	})
	each(func(r *IngestRequest) reflect.Value {
		return reflect.ValueOf(r.Envelopes[0].Elements[0].Event.Message.Contact).Elem()
	})
	assert.Greater(t, given, 20, "most fields are rare")
}

// fill makes a value that is not empty, and leaves one that is not as it is.
func fill(v reflect.Value) {
	if !v.IsZero() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	default:
		panic(v.Kind())
	}
}

func FuzzReadPlain(f *testing.F) {
	body, err := json.Marshal(textRequest())
	require.NoError(f, err)
	f.Add(body)
	f.Add([]byte(`{"envelopes":[{"platform":"x","receivedAt":"2026-11-22T10:00:00Z","transport":"polling","elements":[],"fence":{"token":1}}]}`))
	f.Add([]byte(`{"envelopes":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) { readBoth(t, body) })
}

func BenchmarkWrite(b *testing.B) {
	req := textRequest()
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = req.Encode()
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = json.Marshal(req)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	body, err := json.Marshal(textRequest())
	require.NoError(b, err)
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var req IngestRequest
			req.ReadPlain(body)
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var req IngestRequest
			_ = json.Unmarshal(body, &req)
		}
	})
}
