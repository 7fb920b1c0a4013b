package wire

import (
	"encoding/json"
	"reflect"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/plainjson"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// envelopeSize is room for an envelope beside its payload, whose base64 is a third
// longer.
const envelopeSize = 768

// Encode is the request as encoding/json reads it. Messages of mere text are
// written without reflection; an envelope with anything else in it by encoding/json.
func (r IngestRequest) Encode() ([]byte, error) {
	size := 64
	for i := range r.Envelopes {
		size += envelopeSize + len(r.Envelopes[i].Raw)*4/3
	}
	b := append(make([]byte, 0, size), `{"envelopes":[`...)
	for i := range r.Envelopes {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendEnvelope(b, &r.Envelopes[i]); err != nil {
			return nil, err
		}
	}
	return append(b, "]}"...), nil
}

func appendEnvelope(b []byte, e *Envelope) ([]byte, error) {
	for i := range e.Elements {
		if !isPlain(&e.Elements[i].Event) {
			return appendAny(b, e)
		}
	}
	if e.Fence != nil || len(e.Refused) > 0 || e.Elements == nil {
		return appendAny(b, e)
	}
	b = plainjson.AppendText(append(b, `{"platform":`...), e.Platform)
	b = plainjson.AppendField(b, "channel", e.Channel)
	b = plainjson.AppendField(b, "app", e.App)
	if len(e.Vouched) > 0 {
		b = append(appendTexts(append(b, `,"vouched":[`...), e.Vouched), ']')
	}
	b, err := e.ReceivedAt.AppendText(append(b, `,"receivedAt":"`...))
	if err != nil {
		return nil, err
	}
	b = append(b, '"')
	if len(e.Raw) > 0 {
		b = plainjson.AppendBytes(append(b, `,"raw":`...), e.Raw)
	}
	b = plainjson.AppendText(append(b, `,"transport":`...), e.Transport)
	b = append(b, `,"elements":[`...)
	for i := range e.Elements {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendElement(b, &e.Elements[i]); err != nil {
			return nil, err
		}
	}
	return append(b, "]}"...), nil
}

func appendTexts(b []byte, texts []string) []byte {
	for i, s := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = plainjson.AppendText(b, s)
	}
	return b
}

// isPlain says that there is nothing in an event but what appendElement writes.
func isPlain(e *message.Event) bool {
	if e.Message == nil || e.Message.Contact == nil || e.Receipt != nil || e.Membership != nil || e.Migration != nil {
		return false
	}
	rest := *e.Message
	rest.Direction, rest.ExternalID, rest.Contact, rest.Type, rest.Text, rest.ReplyTo = "", "", nil, "", "", ""
	rest.Timestamp = message.Message{}.Timestamp
	contact := *e.Message.Contact
	contact.ExternalID, contact.DisplayName, contact.Username, contact.Language = "", "", "", ""
	return contact == message.Contact{} && reflect.ValueOf(&rest).Elem().IsZero()
}

func appendElement(b []byte, e *Element) ([]byte, error) {
	b = append(b, '{')
	if e.Channel != "" {
		b = append(plainjson.AppendText(append(b, `"channel":`...), e.Channel), ',')
	}
	m := e.Event.Message
	b = plainjson.AppendText(append(b, `"event":{"message":{"direction":`...), string(m.Direction))
	b = plainjson.AppendField(b, "externalId", m.ExternalID)
	b, err := m.Timestamp.AppendText(append(b, `,"timestamp":"`...))
	if err != nil {
		return nil, err
	}
	b = plainjson.AppendText(append(b, `","contact":{"externalId":`...), m.Contact.ExternalID)
	b = plainjson.AppendField(b, "displayName", m.Contact.DisplayName)
	b = plainjson.AppendField(b, "username", m.Contact.Username)
	b = plainjson.AppendField(b, "language", m.Contact.Language)
	b = plainjson.AppendText(append(b, `},"type":`...), string(m.Type))
	b = plainjson.AppendField(b, "text", m.Text)
	b = plainjson.AppendField(b, "replyTo", m.ReplyTo)
	b = append(b, '}')
	b = plainjson.AppendField(b, "account", e.Event.Account)
	b = plainjson.AppendField(b, "externalId", e.Event.ExternalID)
	return append(b, "}}"...), nil
}

// Encode is the answer as encoding/json reads it.
func (r IngestResponse) Encode() ([]byte, error) {
	if r.Envelopes == nil {
		return json.Marshal(r)
	}
	b := append(make([]byte, 0, 64+96*len(r.Envelopes)), `{"envelopes":[`...)
	for i := range r.Envelopes {
		if i > 0 {
			b = append(b, ',')
		}
		e := &r.Envelopes[i]
		if e.Elements == nil || e.Result != "" {
			var err error
			if b, err = appendAny(b, e); err != nil {
				return nil, err
			}
			continue
		}
		b = append(b, `{"elements":[`...)
		for j, x := range e.Elements {
			if j > 0 {
				b = append(b, ',')
			}
			b = plainjson.AppendText(append(b, `{"result":`...), string(x.Result))
			b = plainjson.AppendField(b, "id", x.ID)
			b = append(plainjson.AppendField(b, "message", x.Message), '}')
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...), nil
}

func appendAny(b []byte, v any) ([]byte, error) {
	encoded, err := json.Marshal(v)
	return append(b, encoded...), err
}
