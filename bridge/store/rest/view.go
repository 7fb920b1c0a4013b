package rest

import (
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// The types of this file are what clients see: the model of package message
// and of the engine, with descriptions, without what is internal. A test keeps
// their fields in step with the model's.

// schemaName names the types in the description; ErrorModel is huma's name for
// what the RFC calls a problem.
func schemaName(t reflect.Type, hint string) string {
	switch name := huma.DefaultSchemaNamer(t, hint); name {
	case "ErrorModel":
		return "Problem"
	case "ErrorDetail":
		return "ProblemDetail"
	default:
		return name
	}
}

// Message is one message, in either direction.
type Message struct {
	ID           string        `json:"id" doc:"ULID; sorts by the time of arrival."`
	Namespace    string        `json:"namespace"`
	Channel      string        `json:"channel" doc:"Name of the Channel within the namespace."`
	Direction    string        `json:"direction" enum:"inbound,outbound" doc:"inbound: the contact wrote it."`
	ExternalID   string        `json:"externalId,omitempty" doc:"The platform's own id; of an outbound message once it is sent."`
	Timestamp    time.Time     `json:"timestamp" doc:"The platform's time."`
	Contact      *Party        `json:"contact,omitempty"`
	Conversation string        `json:"conversation,omitempty"`
	Author       *Author       `json:"author,omitempty"`
	Type         string        `json:"type" enum:"text,image,audio,video,file,sticker,location,contacts,postback,reaction,edit,deletion,template,unsupported"`
	Text         string        `json:"text,omitempty"`
	Entities     []Entity      `json:"entities,omitempty" nullable:"false" doc:"Formatting, links and mentions within the text."`
	Attachments  []Attachment  `json:"attachments,omitempty" nullable:"false"`
	Location     *Location     `json:"location,omitempty"`
	Contacts     []ContactCard `json:"contacts,omitempty" nullable:"false"`
	Postback     *Postback     `json:"postback,omitempty"`
	Buttons      []Button      `json:"buttons,omitempty" nullable:"false"`
	ButtonStyle  string        `json:"buttonStyle,omitempty" enum:"buttons,quickReplies" doc:"How the buttons look; absent: as suits them on the platform."`
	Template     *Template     `json:"template,omitempty" doc:"The cards of a message of type template."`
	Referral     *Referral     `json:"referral,omitempty" doc:"Where the contact came from: an ad, a link."`
	Mail         *Mail         `json:"mail,omitempty" doc:"What an email has beside its text."`
	Standby      bool          `json:"standby,omitempty" doc:"Another app has the thread and is to answer; nothing automatic reacts."`
	ReplyTo      string        `json:"replyTo,omitempty" doc:"External id of the message this one answers."`
	Group        string        `json:"group,omitempty" doc:"The same for the messages of one album."`
	Target       string        `json:"target,omitempty" doc:"External id of the message that an edit or a deletion is about."`
	Reaction     *Reaction     `json:"reaction,omitempty"`
	Reactions    []Reaction    `json:"reactions,omitempty" nullable:"false" doc:"Reactions that stand on this message now."`
	EditedAt     *time.Time    `json:"editedAt,omitempty"`
	DeletedAt    *time.Time    `json:"deletedAt,omitempty" doc:"Set when the message was deleted on the platform; its content is gone then."`
	Unsupported  string        `json:"unsupported,omitempty" doc:"The platform's own kind, when type is unsupported."`
	Echo         bool          `json:"echo,omitempty" doc:"The shop wrote it in the platform's own app."`
	Survey       string        `json:"survey,omitempty" doc:"namespace/name of the SurveyCampaign whose question this is, or whose answer: an answer is no message to anybody."`
	Status       string        `json:"status,omitempty" enum:"received,queued,sent,delivered,read,failed,unknown,cancelled,superseded" doc:"How far it has come. unknown: it may have been sent."`
	Reason       string        `json:"reason,omitempty" doc:"Why the status is failed, unknown, cancelled or superseded."`
}

// Party is the contact, as a message or a conversation names it.
type Party struct {
	ID          string `json:"id,omitempty"`
	ExternalID  string `json:"externalId" doc:"The address on this channel."`
	DisplayName string `json:"displayName,omitempty"`
	Username    string `json:"username,omitempty"`
	Language    string `json:"language,omitempty" doc:"BCP 47."`
}

// Author is who wrote an outbound message, or who speaks in a group.
type Author struct {
	Kind       string `json:"kind" enum:"contact,agent,bot,system"`
	Name       string `json:"name,omitempty"`
	ExternalID string `json:"externalId,omitempty" doc:"The platform's id of who speaks in a group; names are not unique."`
}

// Entity is a stretch of a text.
type Entity struct {
	Kind       string `json:"kind" doc:"bold, italic, underline, strikethrough, spoiler, code, pre, blockquote, link, mention, hashtag, command, email, phone, emoji, or the platform's own word."`
	Offset     int    `json:"offset" doc:"In UTF-16 code units, as JavaScript counts."`
	Length     int    `json:"length" doc:"In UTF-16 code units."`
	URL        string `json:"url,omitempty" doc:"Of a link whose text is another."`
	Language   string `json:"language,omitempty" doc:"Of a pre: the programming language."`
	ExternalID string `json:"externalId,omitempty" doc:"Of the person that is mentioned, or of a custom emoji."`
}

// Attachment is a file of a message.
type Attachment struct {
	Kind     string   `json:"kind" enum:"image,audio,video,file,sticker"`
	URL      string   `json:"url,omitempty" doc:"Where the bytes are: /v1/media/{id} (relative, same token) once the store has them, or an outside address."`
	MediaID  string   `json:"mediaId,omitempty"`
	MimeType string   `json:"mimeType,omitempty"`
	Name     string   `json:"name,omitempty"`
	Size     int64    `json:"size,omitempty" doc:"Bytes."`
	Caption  string   `json:"caption,omitempty"`
	Entities []Entity `json:"entities,omitempty" nullable:"false" doc:"Formatting, links and mentions within the caption."`
	State    string   `json:"state,omitempty" enum:"pending,stored,unavailable" doc:"Whether the store has the bytes."`
	Reason   string   `json:"reason,omitempty" doc:"Why the state is unavailable."`
}

// Location is a point on earth (WGS 84).
type Location struct {
	Latitude  float64 `json:"latitude" minimum:"-90" maximum:"90"`
	Longitude float64 `json:"longitude" minimum:"-180" maximum:"180"`
	Name      string  `json:"name,omitempty" maxLength:"256"`
	Address   string  `json:"address,omitempty" maxLength:"512"`
}

// ContactCard is a person's card sent in a message.
type ContactCard struct {
	Name       string   `json:"name"`
	Phones     []string `json:"phones,omitempty" nullable:"false"`
	ExternalID string   `json:"externalId,omitempty"`
}

// Postback is a pressed button.
type Postback struct {
	Payload string `json:"payload"`
	Title   string `json:"title,omitempty"`
}

// Button is a choice offered with a message.
type Button struct {
	Title   string `json:"title" minLength:"1" maxLength:"256"`
	Payload string `json:"payload,omitempty" maxLength:"1024" doc:"Comes back as a postback when the button is pressed."`
	URL     string `json:"url,omitempty" maxLength:"2048" doc:"Opens a page instead."`
}

// Template is a structured message: a row of cards.
type Template struct {
	Cards []Card `json:"cards" minItems:"1" maxItems:"100" nullable:"false"`
}

// Card is one element of a template.
type Card struct {
	Title    string   `json:"title" minLength:"1" maxLength:"256"`
	Subtitle string   `json:"subtitle,omitempty" maxLength:"256"`
	ImageURL string   `json:"imageUrl,omitempty" maxLength:"2048"`
	URL      string   `json:"url,omitempty" maxLength:"2048" doc:"Opened by a tap on the card."`
	Buttons  []Button `json:"buttons,omitempty" maxItems:"10" nullable:"false"`
}

// Referral is the way that led a contact here.
type Referral struct {
	Ref    string `json:"ref,omitempty" doc:"As the link or the ad carries it."`
	Source string `json:"source,omitempty" doc:"The platform's word: ADS, SHORTLINK …"`
	Kind   string `json:"kind,omitempty" doc:"The platform's word: OPEN_THREAD …"`
	AdID   string `json:"adId,omitempty"`
	URL    string `json:"url,omitempty"`
}

// Mail is what an email has beside its text.
type Mail struct {
	Subject    string   `json:"subject,omitempty"`
	References []string `json:"references,omitempty" doc:"External ids of the mails before this one in its thread, oldest first; of a long thread the first ones and the last."`
	Original   string   `json:"original,omitempty" doc:"The whole text of an inbound mail, where text lacks what it quotes or its signature."`
	Automated  string   `json:"automated,omitempty" enum:"reply,generated,bulk,list,bounce,loop" doc:"What kind of machine wrote it; absent: a person, as far as can be told. Nothing automatic answers such a mail."`
}

// Reaction is an emoji on a message.
type Reaction struct {
	Emoji  string `json:"emoji" maxLength:"64"`
	Action string `json:"action,omitempty" enum:"add,remove"`
	Target string `json:"target,omitempty" maxLength:"512" doc:"External id of the message."`
}

// Conversation is an exchange with one contact on one channel.
type Conversation struct {
	ID            string     `json:"id"`
	Namespace     string     `json:"namespace"`
	Channel       string     `json:"channel" doc:"Name of the Channel within the namespace."`
	Contact       Party      `json:"contact"`
	State         string     `json:"state" enum:"open,pending,snoozed,solved"`
	SnoozedUntil  *time.Time `json:"snoozedUntil,omitempty"`
	Owner         Owner      `json:"owner"`
	Epoch         int64      `json:"epoch" doc:"Grows with every change of the owner; fences automated authors."`
	FollowUpOf    string     `json:"followUpOf,omitempty" doc:"The conversation before, solved too long ago to be reopened."`
	CreatedAt     time.Time  `json:"createdAt"`
	UpdatedAt     time.Time  `json:"updatedAt"`
	SolvedAt      *time.Time `json:"solvedAt,omitempty"`
	LastInboundAt *time.Time `json:"lastInboundAt,omitempty"`
	DueAt         *time.Time `json:"dueAt,omitempty" doc:"By when somebody should have looked at it, as the action of a survey says."`

	Priority string            `json:"priority,omitempty" enum:"Low,Normal,High,Urgent" doc:"In queues. Absent: Normal."`
	Labels   map[string]string `json:"labels,omitempty" doc:"That rules go by."`
	Topics   []string          `json:"topics,omitempty" nullable:"false" doc:"That rules go by."`
	Language *SpokenLanguage   `json:"language,omitempty" doc:"That the contact speaks here. Absent: nobody knows."`
}

// SpokenLanguage is what a contact speaks, and how that is known.
type SpokenLanguage struct {
	Code   string `json:"code" doc:"BCP 47."`
	Source string `json:"source" enum:"set,contact,channel" doc:"set: an agent, a bot or a webhook said so; contact: of their profile on the platform; channel: the Channel's defaultLanguage."`
}

// Owner is who has a conversation.
type Owner struct {
	Kind string `json:"kind" enum:"none,queue,bot,agent"`
	Name string `json:"name,omitempty" maxLength:"253" doc:"Of a queue and of a Bot: namespace/name. A bot of your own, without a Bot resource, has a name without a slash: a name of a Bot that does not exist (any more) hands over by the Channel's policies. Of an agent: their id, or a name of your own."`
}

// Contact is a person, known by one or more identities.
type Contact struct {
	ID          string            `json:"id" doc:"Derived from the first identity: the same in every cluster with the same traffic."`
	Namespace   string            `json:"namespace"`
	DisplayName string            `json:"displayName,omitempty"`
	Language    string            `json:"language,omitempty" doc:"BCP 47."`
	Attributes  map[string]string `json:"attributes,omitempty" doc:"What rules of RoutingPolicies go by."`
	Identities  []Identity        `json:"identities" nullable:"false"`
	CreatedAt   time.Time         `json:"createdAt"`
	MergedIDs   []string          `json:"mergedIds,omitempty" nullable:"false" doc:"Ids that it had as contacts of their own, before those were merged into it. They go on to mean this contact."`
}

// Identity is an address of a contact on a channel.
type Identity struct {
	Channel    string `json:"channel"`
	ExternalID string `json:"externalId"`
	Username   string `json:"username,omitempty"`
	Reachable  bool   `json:"reachable" doc:"False after the contact blocked the account or opted out."`
}

// Event is one change.
type Event struct {
	Cursor       int64     `json:"cursor" doc:"Position in the log; later events have greater ones."`
	Type         string    `json:"type" enum:"message.created,message.updated,message.removed,conversation.created,conversation.updated,contact.created,contact.updated,contact.merged,contact.erased"`
	Time         time.Time `json:"time"`
	Namespace    string    `json:"namespace"`
	Channel      string    `json:"channel,omitempty"`
	Conversation string    `json:"conversation,omitempty"`
	Contact      string    `json:"contact,omitempty"`
	MessageID    string    `json:"messageId,omitempty"`
	MergedInto   string    `json:"mergedInto,omitempty" doc:"Of contact.merged: who the contact is by now."`
	Message      *Message  `json:"message,omitempty" doc:"As it is now, not as it was when the event happened; absent when it is gone."`
}

// RawEntry is one platform request as it came.
type RawEntry struct {
	ID         string    `json:"id"`
	Platform   string    `json:"platform"`
	Namespace  string    `json:"namespace,omitempty"`
	Channel    string    `json:"channel,omitempty"`
	Transport  string    `json:"transport" enum:"webhook,polling,replay"`
	ReceivedAt time.Time `json:"receivedAt"`
	Size       int       `json:"size" doc:"Bytes."`
	Unrouted   bool      `json:"unrouted" doc:"It was for an account that no Channel has."`
	Payload    []byte    `json:"payload,omitempty" doc:"Only when one entry is asked for by its id."`
}

// ReplayResult counts what a replay did.
type ReplayResult struct {
	Entries    int `json:"entries"`
	Stored     int `json:"stored"`
	Duplicates int `json:"duplicates"`
	Unrouted   int `json:"unrouted"`
	Invalid    int `json:"invalid"`
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Pass it as after to get the next page; absent when there is no more for now."`
}

func viewPage[From, To any](p store.Page[From], view func(From) To) Page[To] {
	return Page[To]{Items: viewAll(p.Items, view), Next: p.Next}
}

// viewAll never returns nil: an empty list is [] and not null.
func viewAll[From, To any](items []From, view func(From) To) []To {
	out := make([]To, len(items))
	for i, item := range items {
		out[i] = view(item)
	}
	return out
}

func viewMessage(m message.Message) Message {
	return Message{
		ID: m.ID, Namespace: m.Namespace, Channel: m.Channel, Direction: string(m.Direction), ExternalID: m.ExternalID,
		Timestamp: m.Timestamp, Contact: viewPointer(m.Contact, viewParty), Conversation: m.Conversation,
		Author: viewPointer(m.Author, viewAuthor), Type: string(m.Type), Text: m.Text,
		Entities: viewAll(m.Entities, viewEntity), ButtonStyle: string(m.ButtonStyle), Template: viewPointer(m.Template, viewTemplate),
		Referral: viewPointer(m.Referral, viewReferral), Mail: viewPointer(m.Mail, viewMail), Standby: m.Standby,
		Attachments: viewAll(m.Attachments, viewAttachment), Location: viewPointer(m.Location, viewLocation),
		Contacts: viewAll(m.Contacts, viewContactCard), Postback: viewPointer(m.Postback, viewPostback),
		Buttons: viewAll(m.Buttons, viewButton), ReplyTo: m.ReplyTo, Group: m.Group, Target: m.Target,
		Reaction: viewPointer(m.Reaction, viewReaction), Reactions: viewAll(m.Reactions, viewReaction),
		EditedAt: m.EditedAt, DeletedAt: m.DeletedAt, Unsupported: m.Unsupported, Echo: m.Echo, Survey: m.Survey,
		Status: string(m.Status), Reason: m.Reason,
	}
}

func viewPointer[From, To any](p *From, view func(From) To) *To {
	if p == nil {
		return nil
	}
	v := view(*p)
	return &v
}

// viewAttachment leads to the bytes by a URL and never shows the platform's
// handle: for some platforms it is as good as a credential.
func viewAttachment(a message.Attachment) Attachment {
	v := Attachment{
		Kind: string(a.Kind), URL: a.URL, MediaID: a.MediaID, MimeType: a.MimeType, Name: a.Name,
		Size: a.Size, Caption: a.Caption, Entities: viewAll(a.Entities, viewEntity), State: string(a.State), Reason: a.Reason,
	}
	if a.MediaID != "" {
		v.URL = ""
		if a.State == "" || a.State == message.MediaStored {
			v.URL = mediaPath + a.MediaID
		}
	}
	return v
}

func viewParty(c message.Contact) Party                 { return Party(c) }
func viewLocation(l message.Location) Location          { return Location(l) }
func viewContactCard(c message.ContactCard) ContactCard { return ContactCard(c) }
func viewPostback(p message.Postback) Postback          { return Postback(p) }
func viewButton(b message.Button) Button                { return Button(b) }
func viewIdentity(i store.Identity) Identity            { return Identity(i) }
func viewRaw(e store.RawEntry) RawEntry                 { return RawEntry(e) }
func viewEntity(e message.Entity) Entity                { return Entity(e) }
func viewReferral(r message.Referral) Referral          { return Referral(r) }
func viewReplay(r store.ReplayResult) ReplayResult      { return ReplayResult(r) }

func viewMail(m message.Mail) Mail {
	return Mail{Subject: m.Subject, References: m.References, Original: m.Original, Automated: string(m.Automated)}
}

func viewAuthor(a message.Author) Author {
	return Author{Kind: string(a.Kind), Name: a.Name, ExternalID: a.ExternalID}
}

func viewTemplate(t message.Template) Template { return Template{Cards: viewAll(t.Cards, viewCard)} }

func viewCard(c message.Card) Card {
	return Card{Title: c.Title, Subtitle: c.Subtitle, ImageURL: c.ImageURL, URL: c.URL, Buttons: viewAll(c.Buttons, viewButton)}
}

func viewReaction(r message.Reaction) Reaction {
	return Reaction{Emoji: r.Emoji, Action: string(r.Action), Target: r.Target}
}

func viewConversation(c store.Conversation) Conversation {
	return Conversation{
		ID: c.ID, Namespace: c.Namespace, Channel: c.Channel, Contact: viewParty(c.Contact), State: string(c.State),
		SnoozedUntil: c.SnoozedUntil, Owner: Owner{Kind: string(c.Owner.Kind), Name: c.Owner.Name}, Epoch: c.Epoch,
		FollowUpOf: c.FollowUpOf, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt, SolvedAt: c.SolvedAt, LastInboundAt: c.LastInboundAt, DueAt: c.DueAt,
		Priority: string(c.Priority), Labels: c.Labels, Topics: c.Topics, Language: viewLanguage(c.Language),
	}
}

func viewLanguage(l routing.Language) *SpokenLanguage {
	if l.Code == "" {
		return nil
	}
	return &SpokenLanguage{Code: l.Code, Source: string(l.Source)}
}

func viewContact(c store.Contact) Contact {
	return Contact{
		ID: c.ID, Namespace: c.Namespace, DisplayName: c.DisplayName, Language: c.Language, Attributes: c.Attributes,
		Identities: viewAll(c.Identities, viewIdentity), CreatedAt: c.CreatedAt, MergedIDs: c.MergedIDs,
	}
}

func viewEvent(e store.Event) Event {
	return Event{
		Cursor: e.Cursor, Type: string(e.Type), Time: e.Time, Namespace: e.Namespace, Channel: e.Channel,
		Conversation: e.Conversation, Contact: e.Contact, MessageID: e.MessageID, MergedInto: e.MergedInto, Message: viewPointer(e.Message, viewMessage),
	}
}
