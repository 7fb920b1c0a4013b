package meta

import (
	"encoding/json"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/plainjson"
)

// What a request holds that brings text, or tells that it was delivered or read.
// Others are read by encoding/json.
var (
	plainNames     = []string{"object", "entry"}
	entryNames     = []string{"id", "time", "messaging", "standby"}
	elementNames   = []string{"sender", "recipient", "timestamp", "message", "delivery", "read"}
	idNames        = []string{"id"}
	messageNames   = []string{"mid", "text", "quick_reply", "reply_to", "is_echo", "app_id", "metadata"}
	payloadNames   = []string{"payload"}
	midNames       = []string{"mid"}
	deliveryNames  = []string{"mids", "watermark"}
	watermarkNames = []string{"mid", "watermark"}
)

// decode reads a request, the usual ones for a third of what encoding/json takes.
func (p *plain) decode(body []byte) bool {
	var read plain
	if in := plainjson.New(body); read.read(in) {
		*p = read
		return true
	}
	return json.Unmarshal(body, p) == nil
}

func (p *plain) read(in *plainjson.Reader) bool {
	in.Object(plainNames, func(name int) {
		if plainNames[name] == "object" {
			p.Object = in.Word()
			return
		}
		in.Array(func() { p.Entry = append(p.Entry, readEntry(in)) })
	})
	return in.Done()
}

func readEntry(in *plainjson.Reader) (e plainEntry) {
	in.Object(entryNames, func(name int) {
		switch entryNames[name] {
		case "id":
			e.ID = readText(in)
		case "time":
			in.Whole()
		case "messaging":
			in.Array(func() { e.Messaging = append(e.Messaging, readElement(in)) })
		case "standby":
			in.Array(func() { e.Standby = append(e.Standby, readElement(in)) })
		}
	})
	return e
}

func readElement(in *plainjson.Reader) (el element) {
	in.Object(elementNames, func(name int) {
		switch elementNames[name] {
		case "sender":
			in.Object(idNames, func(int) { el.Sender.ID = readText(in) })
		case "recipient":
			in.Object(idNames, func(int) { el.Recipient.ID = readText(in) })
		case "timestamp":
			el.Timestamp = readText(in)
		case "message":
			el.Message = readMessage(in)
		case "delivery":
			el.Delivery = readDelivery(in)
		case "read":
			el.Read = readRead(in)
		}
	})
	return el
}

func readMessage(in *plainjson.Reader) *inMessage {
	m := &inMessage{}
	in.Object(messageNames, func(name int) {
		switch messageNames[name] {
		case "mid":
			m.MID = readText(in)
		case "text":
			m.Text = readText(in)
		case "quick_reply":
			m.QuickReply = &inQuickReply{}
			in.Object(payloadNames, func(int) { m.QuickReply.Payload = readText(in) })
		case "reply_to":
			m.ReplyTo = &inReplyTo{}
			in.Object(midNames, func(int) { m.ReplyTo.MID = readText(in) })
		case "is_echo":
			m.IsEcho = flag(in.Truth())
		case "app_id":
			m.AppID = readText(in)
		case "metadata":
			m.Metadata = readText(in)
		}
	})
	return m
}

func readDelivery(in *plainjson.Reader) *inDelivery {
	d := &inDelivery{}
	in.Object(deliveryNames, func(name int) {
		if deliveryNames[name] == "watermark" {
			d.Watermark = readText(in)
			return
		}
		d.MIDs = []text{}
		in.Array(func() { d.MIDs = append(d.MIDs, readText(in)) })
	})
	return d
}

func readRead(in *plainjson.Reader) *inRead {
	r := &inRead{}
	in.Object(watermarkNames, func(name int) {
		if watermarkNames[name] == "watermark" {
			r.Watermark = readText(in)
		} else {
			r.MID = readText(in)
		}
	})
	return r
}

// readText reads a text that may come as a number.
func readText(in *plainjson.Reader) text {
	if in.Next() == '"' {
		return text(in.Text())
	}
	return text(in.Whole())
}
