package wire

import (
	"github.com/bridgekeeper/bridgekeeper/bridge/internal/plainjson"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// What nearly every ingest request holds; others are read by encoding/json.
var (
	requestNames  = []string{"envelopes"}
	envelopeNames = []string{"platform", "channel", "app", "vouched", "receivedAt", "raw", "transport", "elements"}
	elementNames  = []string{"channel", "event"}
	eventNames    = []string{"account", "externalId", "message"}
	messageNames  = []string{"direction", "externalId", "timestamp", "contact", "type", "text", "replyTo"}
	contactNames  = []string{"externalId", "displayName", "username", "language"}

	resultNames        = []string{"elements"}
	elementResultNames = []string{"result", "id", "message"}
)

// Plain is what reads and writes itself where it is what it mostly is. Requests and
// answers that are not Plain are encoding/json's.
type Plain interface {
	// Encode is the JSON of the value.
	Encode() ([]byte, error)
}

// PlainReader is the other side of Plain.
type PlainReader interface {
	// ReadPlain reads the value, or returns false and leaves it to encoding/json.
	ReadPlain(body []byte) bool
}

// ReadPlain reads a request of messages that are mere text, which nearly all are,
// for a third of what encoding/json takes. It returns false, with r as it was,
// where there is anything else in it; what the request says is then for
// encoding/json to find out. Where it returns true both read the same.
func (r *IngestRequest) ReadPlain(body []byte) bool {
	in := plainjson.New(body)
	var req IngestRequest
	in.Object(requestNames, func(int) {
		req.Envelopes = []Envelope{}
		in.Array(func() { req.Envelopes = append(req.Envelopes, readEnvelope(in)) })
	})
	if !in.Done() {
		return false
	}
	*r = req
	return true
}

// ReadPlain reads an answer in which no envelope was refused as a whole; see
// IngestRequest.ReadPlain.
func (r *IngestResponse) ReadPlain(body []byte) bool {
	in := plainjson.New(body)
	var answer IngestResponse
	in.Object(requestNames, func(int) {
		answer.Envelopes = []EnvelopeResult{}
		in.Array(func() {
			var e EnvelopeResult
			in.Object(resultNames, func(int) {
				e.Elements = []ElementResult{}
				in.Array(func() { e.Elements = append(e.Elements, readResult(in)) })
			})
			answer.Envelopes = append(answer.Envelopes, e)
		})
	})
	if !in.Done() {
		return false
	}
	*r = answer
	return true
}

func readResult(in *plainjson.Reader) (e ElementResult) {
	in.Object(elementResultNames, func(name int) {
		switch elementResultNames[name] {
		case "result":
			e.Result = Result(in.Word())
		case "id":
			e.ID = in.Text()
		case "message":
			e.Message = in.Text()
		}
	})
	return e
}

func readEnvelope(in *plainjson.Reader) (e Envelope) {
	in.Object(envelopeNames, func(name int) {
		switch envelopeNames[name] {
		case "platform":
			e.Platform = in.Word()
		case "channel":
			e.Channel = in.Word()
		case "app":
			e.App = in.Word()
		case "vouched":
			e.Vouched = []string{}
			in.Array(func() { e.Vouched = append(e.Vouched, in.Word()) })
		case "receivedAt":
			e.ReceivedAt = in.Time()
		case "raw":
			e.Raw = in.Bytes()
		case "transport":
			e.Transport = in.Word()
		case "elements":
			e.Elements = []Element{}
			in.Array(func() { e.Elements = append(e.Elements, readElement(in)) })
		}
	})
	return e
}

func readElement(in *plainjson.Reader) (e Element) {
	in.Object(elementNames, func(name int) {
		switch elementNames[name] {
		case "channel":
			e.Channel = in.Word()
		case "event":
			in.Object(eventNames, func(name int) {
				switch eventNames[name] {
				case "account":
					e.Event.Account = in.Word()
				case "externalId":
					e.Event.ExternalID = in.Text()
				case "message":
					e.Event.Message = readMessage(in)
				}
			})
		}
	})
	return e
}

func readMessage(in *plainjson.Reader) *message.Message {
	m := &message.Message{}
	in.Object(messageNames, func(name int) {
		switch messageNames[name] {
		case "direction":
			m.Direction = message.Direction(in.Word())
		case "externalId":
			m.ExternalID = in.Text()
		case "timestamp":
			m.Timestamp = in.Time()
		case "contact":
			m.Contact = readContact(in)
		case "type":
			m.Type = message.Type(in.Word())
		case "text":
			m.Text = in.Text()
		case "replyTo":
			m.ReplyTo = in.Text()
		}
	})
	return m
}

func readContact(in *plainjson.Reader) *message.Contact {
	c := &message.Contact{}
	in.Object(contactNames, func(name int) {
		switch contactNames[name] {
		case "externalId":
			c.ExternalID = in.Text()
		case "displayName":
			c.DisplayName = in.Text()
		case "username":
			c.Username = in.Text()
		case "language":
			c.Language = in.Word()
		}
	})
	return c
}
