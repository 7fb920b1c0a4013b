package meta

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// envelope is a webhook request.
type envelope struct {
	Object string            `json:"object"`
	Entry  []json.RawMessage `json:"entry"`
}

// entry is what the request tells of one account. Each list holds elements
// that stand or fall alone. Field and Value are the flat form of one change.
type entry struct {
	ID        text              `json:"id"`
	Messaging []json.RawMessage `json:"messaging"`
	Standby   []json.RawMessage `json:"standby"`
	Changes   []json.RawMessage `json:"changes"`
	Field     text              `json:"field"`
	Value     json.RawMessage   `json:"value"`
}

// plain is a request as nearly all are: every part of it is what the platform
// describes. One is read at once instead of part by part, for a fifth of the time.
type plain struct {
	Object string       `json:"object"`
	Entry  []plainEntry `json:"entry"`
}

type plainEntry struct {
	ID        text            `json:"id"`
	Messaging []element       `json:"messaging"`
	Standby   []element       `json:"standby"`
	Changes   json.RawMessage `json:"changes"`
	Field     json.RawMessage `json:"field"`
}

// change is one element of entry.Changes.
type change struct {
	Field text            `json:"field"`
	Value json.RawMessage `json:"value"`
}

// element is one element of messaging or standby; one of the pointers is set.
type element struct {
	Sender       party         `json:"sender"`
	Recipient    party         `json:"recipient"`
	Timestamp    text          `json:"timestamp"`
	PriorMessage *priorMessage `json:"prior_message"`

	Message        *inMessage  `json:"message"`
	MessageEdit    *inEdit     `json:"message_edit"`
	Postback       *inPostback `json:"postback"`
	Reaction       *inReaction `json:"reaction"`
	Referral       *inReferral `json:"referral"`
	OptIn          *inOptIn    `json:"optin"`
	Delivery       *inDelivery `json:"delivery"`
	Read           *inRead     `json:"read"`
	AccountLinking *inLinking  `json:"account_linking"`
}

type party struct {
	ID      text `json:"id"`
	UserRef text `json:"user_ref"`
}

// priorMessage tells, in the first message of somebody who had ticked the
// checkbox plugin, under which reference they were known before.
type priorMessage struct {
	Source     text `json:"source"`
	Identifier text `json:"identifier"`
}

type inMessage struct {
	MID           text              `json:"mid"`
	Text          text              `json:"text"`
	Attachments   []json.RawMessage `json:"attachments"`
	QuickReply    *inQuickReply     `json:"quick_reply"`
	ReplyTo       *inReplyTo        `json:"reply_to"`
	Referral      *inReferral       `json:"referral"`
	IsEcho        flag              `json:"is_echo"`
	IsSelf        flag              `json:"is_self"`
	IsDeleted     flag              `json:"is_deleted"`
	IsUnsupported flag              `json:"is_unsupported"`
	AppID         text              `json:"app_id"`
	Metadata      text              `json:"metadata"`
}

type inQuickReply struct {
	Payload text `json:"payload"`
}

type inReplyTo struct {
	MID   text `json:"mid"`
	Story *struct {
		ID text `json:"id"`
	} `json:"story"`
}

type inEdit struct {
	MID     text `json:"mid"`
	Text    text `json:"text"`
	NumEdit text `json:"num_edit"`
}

type inPostback struct {
	MID      text        `json:"mid"`
	Title    text        `json:"title"`
	Payload  text        `json:"payload"`
	Referral *inReferral `json:"referral"`
}

type inReaction struct {
	MID      text `json:"mid"`
	Action   text `json:"action"`
	Reaction text `json:"reaction"`
	Emoji    text `json:"emoji"`
}

type inReferral struct {
	Ref        text `json:"ref"`
	Source     text `json:"source"`
	Type       text `json:"type"`
	AdID       text `json:"ad_id"`
	RefererURI text `json:"referer_uri"`
}

type inOptIn struct {
	Type    text `json:"type"`
	Ref     text `json:"ref"`
	UserRef text `json:"user_ref"`
	Payload text `json:"payload"`
	Title   text `json:"title"`
	Status  text `json:"notification_messages_status"`
}

type inDelivery struct {
	MIDs      []text `json:"mids"`
	Watermark text   `json:"watermark"`
}

type inRead struct {
	MID       text `json:"mid"`
	Watermark text `json:"watermark"`
}

type inLinking struct {
	Status text `json:"status"`
}

type inAttachment struct {
	Type    text      `json:"type"`
	Title   text      `json:"title"`
	URL     text      `json:"url"`
	Payload inPayload `json:"payload"`
}

type inPayload struct {
	URL         text `json:"url"`
	Title       text `json:"title"`
	StickerID   text `json:"sticker_id"`
	Coordinates *struct {
		Lat  *float64 `json:"lat"`
		Long *float64 `json:"long"`
	} `json:"coordinates"`
	inTemplate
	Generic *inTemplate `json:"generic"` // Instagram wraps the template in its type
	Product *inTemplate `json:"product"`
}

type inTemplate struct {
	TemplateType text       `json:"template_type"`
	Text         text       `json:"text"`
	Buttons      []inButton `json:"buttons"`
	Elements     []inCard   `json:"elements"`
}

type inCard struct {
	Title         text       `json:"title"`
	Subtitle      text       `json:"subtitle"`
	ImageURL      text       `json:"image_url"`
	DefaultAction *inButton  `json:"default_action"`
	Buttons       []inButton `json:"buttons"`
}

type inButton struct {
	Title   text `json:"title"`
	Payload text `json:"payload"`
	URL     text `json:"url"`
}

// text is a string that may come as a number: ids do, beyond 2^53, and so do
// counters. Anything else is empty, not an error: one field of a strange type
// must not cost a message.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	switch {
	case len(raw) > 1 && raw[0] == '"':
		if inner := raw[1 : len(raw)-1]; !bytes.ContainsRune(inner, '\\') && utf8.Valid(inner) {
			*t = text(inner) // as nearly all are: nothing to decode
			return nil
		}
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*t = text(s)
	case len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'):
		*t = text(raw)
	default:
		*t = ""
	}
	return nil
}

// millisBelow tells seconds from milliseconds: below it a value is in seconds
// (it would be September 2001 in milliseconds).
const millisBelow = 1_000_000_000_000

// time reads Unix milliseconds, or seconds. Zero: none, or none that makes sense.
func (t text) time() time.Time {
	n, err := strconv.ParseInt(string(t), 10, 64)
	const year3000 = 32_503_680_000_000
	switch {
	case err != nil || n <= 0 || n >= year3000:
		return time.Time{}
	case n < millisBelow:
		return time.Unix(n, 0).UTC()
	}
	return time.UnixMilli(n).UTC()
}

// flag is a boolean that may come as a text or a number.
type flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *flag) UnmarshalJSON(raw []byte) error {
	*f = flag(strings.Trim(string(raw), `"`) == "true" || string(raw) == "1")
	return nil
}

// decode reads what it can: a field of another type than expected stays empty.
// It fails when the whole is none of the JSON that was expected.
func decode(raw []byte, into any) bool {
	err := json.Unmarshal(raw, into)
	var wrongType *json.UnmarshalTypeError
	return err == nil || errors.As(err, &wrongType) && wrongType.Field != ""
}
