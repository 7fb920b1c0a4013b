// Package message is the normalised model of a conversation: what every
// platform's payload becomes, what the store keeps and what REST returns.
//
//	platform payload ──parse──► Event ──Ingest──► store ──► Message (REST)
//	REST write ──► Message ──plan──► Part ──lease──► platform request
//
// It holds types and their validation only: no I/O, no platform knowledge.
package message

import "time"

// Direction says who wrote a message, seen from the shop.
type Direction string

const (
	Inbound  Direction = "inbound"  // the contact wrote it
	Outbound Direction = "outbound" // the shop wrote it, here or in the platform's own app (an echo)
)

// Type is the shape of a message's content.
type Type string

const (
	TypeText        Type = "text"
	TypeImage       Type = "image"
	TypeAudio       Type = "audio"
	TypeVideo       Type = "video"
	TypeFile        Type = "file"
	TypeSticker     Type = "sticker"
	TypeLocation    Type = "location"
	TypeContacts    Type = "contacts"
	TypePostback    Type = "postback"
	TypeReaction    Type = "reaction"
	TypeEdit        Type = "edit"
	TypeDeletion    Type = "deletion"
	TypeTemplate    Type = "template"
	TypeUnsupported Type = "unsupported"
)

// Types lists every Type, in the order of the documentation.
var Types = []Type{
	TypeText, TypeImage, TypeAudio, TypeVideo, TypeFile, TypeSticker, TypeLocation, TypeContacts,
	TypePostback, TypeReaction, TypeEdit, TypeDeletion, TypeTemplate, TypeUnsupported,
}

// Status is how far a message has come. Inbound messages are always received;
// outbound ones climb the lattice queued < sent < delivered < read, and failed
// is reached only from below delivered.
type Status string

const (
	StatusReceived   Status = "received"
	StatusQueued     Status = "queued"
	StatusSent       Status = "sent"
	StatusDelivered  Status = "delivered"
	StatusRead       Status = "read"
	StatusFailed     Status = "failed"
	StatusUnknown    Status = "unknown"    // the outcome of a send was never learnt; see the outbox
	StatusCancelled  Status = "cancelled"  // withdrawn before it was sent
	StatusSuperseded Status = "superseded" // an automated message of an owner that lost the conversation
)

// AuthorKind is who speaks in an outbound message. Automated kinds are fenced
// by the conversation's epoch, people are not.
type AuthorKind string

const (
	AuthorContact AuthorKind = "contact"
	AuthorAgent   AuthorKind = "agent"
	AuthorBot     AuthorKind = "bot"
	AuthorSystem  AuthorKind = "system"
	// AuthorPolicy is routing itself, with what it announces: a greeting, that nobody
	// is there now, a bot's words when it hands over. It speaks for no owner, so
	// that a new one does not silence it; only the store makes such messages.
	AuthorPolicy AuthorKind = "policy"
	// AuthorSurvey is a survey campaign, which asks, reminds and thanks. Its dialogue
	// is laid over the conversation and owns nothing: it is superseded when a person
	// writes or the question is out of place; only the store makes such messages.
	AuthorSurvey AuthorKind = "survey"
)

// Message is one normalised message. The JSON form is the one of REST, of
// events and of the internal API; fields that a type does not use are absent.
type Message struct {
	// ID is a ULID given by the store; empty on the way in.
	ID        string    `json:"id,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Channel   string    `json:"channel,omitempty"` // name within Namespace
	Direction Direction `json:"direction"`
	// ExternalID is the platform's own id of this message (or of this edit,
	// reaction, deletion), unique per (channel, direction, kind).
	ExternalID string `json:"externalId,omitempty"`
	// Timestamp is the platform's time, clamped by the store to what is possible.
	// Zero: the platform told none (a pressed button), the time of arrival counts.
	Timestamp    time.Time `json:"timestamp"`
	Contact      *Contact  `json:"contact,omitempty"`
	Conversation string    `json:"conversation,omitempty"`
	Author       *Author   `json:"author,omitempty"`
	Type         Type      `json:"type"`
	Text         string    `json:"text,omitempty"`
	// Entities mark formatting, links and mentions within Text.
	Entities    []Entity      `json:"entities,omitempty"`
	Attachments []Attachment  `json:"attachments,omitempty"`
	Location    *Location     `json:"location,omitempty"`
	Contacts    []ContactCard `json:"contacts,omitempty"`
	Postback    *Postback     `json:"postback,omitempty"`
	Buttons     []Button      `json:"buttons,omitempty"`
	// ButtonStyle says how Buttons look where a platform knows more than one way.
	ButtonStyle ButtonStyle `json:"buttonStyle,omitempty"`
	// Template is the structure of a message of type template.
	Template *Template `json:"template,omitempty"`
	// Referral is where the contact came from: an ad, a link with a ref.
	Referral *Referral `json:"referral,omitempty"`
	// Mail is what only email has: subject, thread, what was cut from Text.
	Mail *Mail `json:"mail,omitempty"`
	// Standby marks a message that another app, which has the thread, is to
	// answer: it is kept and shown, and nothing automatic reacts to it.
	Standby bool `json:"standby,omitempty"`
	// ReplyTo is the external id of the message this one answers.
	ReplyTo string `json:"replyTo,omitempty"`
	// Group is the same for the messages of one album, which platforms send one
	// by one; unique within the conversation.
	Group string `json:"group,omitempty"`
	// Target is the external id of the message that an edit or a deletion is about.
	Target   string    `json:"target,omitempty"`
	Reaction *Reaction `json:"reaction,omitempty"`
	// Reactions that stand on this message now; filled on reads only.
	Reactions []Reaction `json:"reactions,omitempty"`
	EditedAt  *time.Time `json:"editedAt,omitempty"`
	DeletedAt *time.Time `json:"deletedAt,omitempty"`
	// Unsupported names the platform's own kind when Type is unsupported.
	Unsupported string `json:"unsupported,omitempty"`
	// Echo marks an outbound message that the shop wrote in the platform's own app.
	Echo   bool   `json:"echo,omitempty"`
	Status Status `json:"status,omitempty"`
	// Reason says why a message is failed, cancelled, superseded or unknown.
	Reason string `json:"reason,omitempty"`
	// Survey is the campaign ("namespace/name") whose question this is, or whose
	// answer: an answer reopens nothing and goes to nobody.
	Survey string `json:"survey,omitempty"`
}

// Contact is the person on the other side, as a message names them.
type Contact struct {
	ID          string `json:"id,omitempty"` // given by the store, derived, stable across clusters
	ExternalID  string `json:"externalId"`   // the address to answer to, on this channel
	DisplayName string `json:"displayName,omitempty"`
	Username    string `json:"username,omitempty"`
	Language    string `json:"language,omitempty"` // BCP 47, as the platform tells it
}

// Author is who wrote an outbound message, or who speaks in an inbound one
// where the contact is a group.
type Author struct {
	Kind AuthorKind `json:"kind"`
	Name string     `json:"name,omitempty"`
	// ExternalID is the platform's id of a person who speaks in a group: names
	// are not unique, this is. AuthorAnonymous stands for nobody in particular.
	ExternalID string `json:"externalId,omitempty"`
}

// AuthorAnonymous is the Author.ExternalID of reactions whose authors the
// platform does not show (Telegram's channels). As it stands for many, it may
// have several reactions on a message, one per emoji; a removal without an
// emoji takes all of them off.
const AuthorAnonymous = "anonymous"

// Entity is a stretch of a text: formatting, a link, a mention. Offset and
// Length count UTF-16 code units, as Telegram and JavaScript do.
type Entity struct {
	Kind     string `json:"kind"` // bold, italic, underline, strikethrough, spoiler, code, pre, blockquote, link, mention, hashtag, command, email, phone, emoji …
	Offset   int    `json:"offset"`
	Length   int    `json:"length"`
	URL      string `json:"url,omitempty"`      // of a link whose text is another
	Language string `json:"language,omitempty"` // of a pre
	// ExternalID is of the person that is mentioned, or of a custom emoji.
	ExternalID string `json:"externalId,omitempty"`
}

// Attachment is a file of a message. Exactly one of MediaID (kept by the store)
// and URL (outside, outbound only) leads to the bytes; Ref is the platform's
// handle, used inside the data plane to fetch them and never shown by REST.
type Attachment struct {
	Kind     Type       `json:"kind"` // image, audio, video, file, sticker
	URL      string     `json:"url,omitempty"`
	MediaID  string     `json:"mediaId,omitempty"`
	Ref      string     `json:"ref,omitempty"`
	MimeType string     `json:"mimeType,omitempty"`
	Name     string     `json:"name,omitempty"`
	Size     int64      `json:"size,omitempty"` // bytes
	Caption  string     `json:"caption,omitempty"`
	Entities []Entity   `json:"entities,omitempty"` // within Caption
	State    MediaState `json:"state,omitempty"`
	Reason   string     `json:"reason,omitempty"` // why State is unavailable
}

// MediaState is whether the store has the bytes of an attachment.
type MediaState string

const (
	MediaPending     MediaState = "pending"     // a bridge will fetch it
	MediaStored      MediaState = "stored"      // GET /v1/media/{id} has it
	MediaUnavailable MediaState = "unavailable" // given up; Reason says why
)

// Location is a point on earth (WGS 84 degrees) and what it is called.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// ContactCard is a person's card sent in a message.
type ContactCard struct {
	Name       string   `json:"name"`
	Phones     []string `json:"phones,omitempty"`
	ExternalID string   `json:"externalId,omitempty"`
}

// Postback is a pressed button: its payload and the text it showed.
type Postback struct {
	Payload string `json:"payload"`
	Title   string `json:"title,omitempty"`
}

// Button is a choice offered with an outbound message. With URL it opens a
// page; else pressing it comes back as a Postback with Payload.
type Button struct {
	Title   string `json:"title"`
	Payload string `json:"payload,omitempty"`
	URL     string `json:"url,omitempty"`
}

// ButtonStyle is how the buttons of a message look.
type ButtonStyle string

const (
	ButtonStyleAuto         ButtonStyle = ""             // what suits the buttons on the platform
	ButtonStyleButtons      ButtonStyle = "buttons"      // they stay with the message
	ButtonStyleQuickReplies ButtonStyle = "quickReplies" // they go away with the answer
)

// Template is a structured message: a row of cards.
type Template struct {
	Cards []Card `json:"cards"`
}

// Card is one element of a template.
type Card struct {
	Title    string   `json:"title"`
	Subtitle string   `json:"subtitle,omitempty"`
	ImageURL string   `json:"imageUrl,omitempty"`
	URL      string   `json:"url,omitempty"` // opened by a tap on the card
	Buttons  []Button `json:"buttons,omitempty"`
}

// Referral is what a platform tells of the way that led a contact here. A
// contact who follows such a link within an open thread sends no words: that is
// a message of type postback whose payload is Ref.
type Referral struct {
	Ref    string `json:"ref,omitempty"`    // as the link or the ad carries it
	Source string `json:"source,omitempty"` // the platform's word: ADS, SHORTLINK …
	Kind   string `json:"kind,omitempty"`   // the platform's word: OPEN_THREAD …
	AdID   string `json:"adId,omitempty"`
	URL    string `json:"url,omitempty"`
}

// Mail is what an email has beside its text. Inbound it is as the contact wrote
// it, outbound as the store continues the thread.
type Mail struct {
	Subject string `json:"subject,omitempty"`
	// References are the external ids of the messages before this one in its
	// thread, oldest first (RFC 5322 section 3.6.4); long threads have their
	// first and their last ones.
	References []string `json:"references,omitempty"`
	// Original is an inbound mail's whole text, where Text lacks what it quotes
	// or its signature; of a very long one, the beginning.
	Original string `json:"original,omitempty"`
	// Automated says that a machine wrote it, and of which kind; empty: a person
	// did, as far as can be told (RFC 3834). Nothing automatic answers such a mail.
	Automated Automated `json:"automated,omitempty"`
}

// Automated is a kind of mail that no person wrote for this one reader.
type Automated string

const (
	AutomatedReply     Automated = "reply"     // an answer to a mail: out of office, a bot
	AutomatedGenerated Automated = "generated" // a notification
	AutomatedBulk      Automated = "bulk"      // a newsletter, an advertisement
	AutomatedList      Automated = "list"      // a mailing list handed it on
	AutomatedBounce    Automated = "bounce"    // a mail server speaks of a mail that is not ours
	AutomatedLoop      Automated = "loop"      // our own mail came back
)

// ReactionAction is whether a reaction was put on or taken off.
type ReactionAction string

const (
	ReactionAdd    ReactionAction = "add"
	ReactionRemove ReactionAction = "remove"
)

// Reaction is an emoji put on, or taken off, the message Target (external id).
type Reaction struct {
	Emoji  string         `json:"emoji"`
	Action ReactionAction `json:"action,omitempty"`
	Target string         `json:"target,omitempty"`
}

// Receipt says how far an outbound message came. Exactly one of ExternalID
// (one message) and Watermark (everything to Contact up to that time) is set.
// With Delivery it is the proof that a part of ours was sent, whatever became of
// the answer to the request: ExternalID is the part's, Status is sent.
type Receipt struct {
	Delivery   string    `json:"delivery,omitempty"` // the message's id, from the mark that it was sent with
	Part       int       `json:"part,omitempty"`     // of Delivery, from 0
	ExternalID string    `json:"externalId,omitempty"`
	Watermark  time.Time `json:"watermark,omitzero"`
	Contact    string    `json:"contact,omitempty"` // external id of the contact
	Status     Status    `json:"status"`            // sent, delivered, read, failed
	Timestamp  time.Time `json:"timestamp"`
	Reason     string    `json:"reason,omitempty"`
}

// MembershipStatus is whether a contact can be written to.
type MembershipStatus string

const (
	MembershipOptedIn  MembershipStatus = "optedIn"  // started or unblocked the conversation
	MembershipOptedOut MembershipStatus = "optedOut" // blocked, unsubscribed
)

// Membership is a contact opting in to or out of a channel. It is kept as the
// channel's reachability of that identity, not as consent to a purpose.
type Membership struct {
	Contact   Contact          `json:"contact"`
	Status    MembershipStatus `json:"status"`
	Timestamp time.Time        `json:"timestamp"` // zero: the time of arrival counts
}

// Migration tells that a contact's address changed (Telegram: a group became a
// supergroup; WhatsApp: a new number). The identity keeps its contact.
type Migration struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Event is one thing that a platform told: exactly one of the pointers is set.
// A platform request is parsed into any number of them.
type Event struct {
	// Account is the platform account the element names (page id, phone number
	// id, bot id); the channel is looked up by it where one URL serves several.
	Account string `json:"account,omitempty"`
	// ExternalID is the key of the event within (channel, kind) where Message
	// has none of its own: update id, receipt key. Empty: derived from content.
	ExternalID string      `json:"externalId,omitempty"`
	Message    *Message    `json:"message,omitempty"`
	Receipt    *Receipt    `json:"receipt,omitempty"`
	Membership *Membership `json:"membership,omitempty"`
	Migration  *Migration  `json:"migration,omitempty"`
}

// Kind names the kind of an event, as it stands in the unique key
// (channel, direction, external id, kind).
func (e *Event) Kind() string {
	switch {
	case e.Message != nil:
		switch e.Message.Type {
		case TypeEdit, TypeDeletion, TypeReaction, TypePostback:
			return string(e.Message.Type)
		default:
			return "message"
		}
	case e.Receipt != nil:
		return "receipt"
	case e.Membership != nil:
		return "membership"
	case e.Migration != nil:
		return "migration"
	}
	return ""
}
