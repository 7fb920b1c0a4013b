package rest

import (
	"context"
	"net/http"
	"path"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// PageParams are the query parameters of every list. It is exported because
// huma looks into exported embedded types only.
type PageParams struct {
	After string `query:"after" maxLength:"512" doc:"The cursor that the page before returned as next; absent: from the beginning."`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most items to return."`
}

func (p PageParams) query() store.PageQuery { return store.PageQuery{After: p.After, Limit: p.Limit} }

// IDParam is the {id} of a path; exported as PageParams is. Ids are ULIDs or hashes; the bound leaves room.
type IDParam struct {
	ID string `path:"id" maxLength:"128"`
}

// output is a body of type T.
type output[T any] struct{ Body T }

// operation is what all operations have in common.
func operation(method, path, id, tag, summary string, access document.TokenAccess, errors ...int) huma.Operation {
	errors = append(errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable)
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary, Errors: errors,
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
		Metadata:    map[string]any{accessKey: access},
		Description: "Needs access " + string(access) + ".",
	}
}

func (a *API) registerMessages() {
	huma.Register(a.huma, operation(http.MethodGet, "/v1/messages", "list-messages", "Messages",
		"Messages in the order they were stored", document.AccessRead, 404), a.listMessages)
	huma.Register(a.huma, operation(http.MethodGet, "/v1/messages/{id}", "get-message", "Messages",
		"One message", document.AccessRead, 404), a.getMessage)
	huma.Register(a.huma, operation(http.MethodGet, "/v1/conversations/{id}/messages", "list-conversation-messages", "Messages",
		"Messages of a conversation in the order of their time", document.AccessRead, 404), a.listConversationMessages)
	send := operation(http.MethodPost, "/v1/conversations/{id}/messages", "send-message", "Messages",
		"Send a message", document.AccessWrite, 400, 404, 409, 413)
	send.DefaultStatus = http.StatusCreated
	send.Description = "Queues a message to the contact of the conversation and returns it with status queued; " +
		"events tell how it fares. Needs access write."
	huma.Register(a.huma, send, a.sendMessage)
}

type listMessagesInput struct {
	PageParams
	Channel   string `query:"channel" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" example:"shop/messenger-main" doc:"Only of this Channel (namespace/name)."`
	Direction string `query:"direction" enum:"inbound,outbound"`
	Contact   string `query:"contact" maxLength:"128" doc:"Only of the contact with this id."`
}

func (a *API) listMessages(ctx context.Context, in *listMessagesInput) (*output[Page[Message]], error) {
	page, err := a.engine.Messages(ctx, scopeOf(ctx), store.MessageQuery{
		PageQuery: in.query(), Channel: in.Channel, Direction: message.Direction(in.Direction), Contact: in.Contact,
	})
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[Message]]{viewPage(page, viewMessage)}, nil
}

func (a *API) getMessage(ctx context.Context, in *IDParam) (*output[Message], error) {
	m, err := a.engine.Message(ctx, scopeOf(ctx), in.ID)
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	return &output[Message]{viewMessage(m)}, nil
}

type listConversationMessagesInput struct {
	IDParam
	PageParams
}

func (a *API) listConversationMessages(ctx context.Context, in *listConversationMessagesInput) (*output[Page[Message]], error) {
	page, err := a.engine.ConversationMessages(ctx, scopeOf(ctx), in.ID, in.query())
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[Message]]{viewPage(page, viewMessage)}, nil
}

// SendMessage is the body of a message to send.
type SendMessage struct {
	Type        string           `json:"type,omitempty" enum:"text,image,audio,video,file,sticker,location,template,edit,deletion,reaction" doc:"Absent: the kind of the first attachment, location, template or text, whichever there is."`
	Text        string           `json:"text,omitempty" maxLength:"65536" doc:"Split at the platform's limit."`
	Subject     string           `json:"subject,omitempty" maxLength:"998" doc:"Of a mail, on one line; absent: that of the mail that it answers. Other platforms have none."`
	Attachments []SendAttachment `json:"attachments,omitempty" maxItems:"32" nullable:"false"`
	Location    *Location        `json:"location,omitempty"`
	Buttons     []Button         `json:"buttons,omitempty" maxItems:"100" nullable:"false"`
	ButtonStyle string           `json:"buttonStyle,omitempty" enum:"buttons,quickReplies" doc:"How the buttons look where the platform knows two ways: buttons stay with the message, quickReplies go away with the answer. Absent: what suits them."`
	Template    *Template        `json:"template,omitempty" doc:"The cards of a message of type template."`
	ReplyTo     string           `json:"replyTo,omitempty" maxLength:"512" doc:"External id of the message to answer."`
	Target      string           `json:"target,omitempty" maxLength:"512" doc:"External id of the message to edit or delete."`
	Reaction    *Reaction        `json:"reaction,omitempty"`
	Author      *SendAuthor      `json:"author,omitempty" doc:"Absent: an agent, with the name of the token."`
	Epoch       int64            `json:"epoch,omitempty" minimum:"0" doc:"The conversation's epoch as a bot knows it: when the owner has changed since, the message is not sent (409). Needed for bot and system, ignored for agents."`
}

// SendAuthor is who a message to send is by.
type SendAuthor struct {
	Kind string `json:"kind" enum:"agent,bot,system"`
	Name string `json:"name,omitempty" maxLength:"253"`
}

// SendAttachment is a file to send: uploaded to the store before, or at an
// outside address that the platform fetches.
type SendAttachment struct {
	Kind     string `json:"kind" enum:"image,audio,video,file,sticker"`
	URL      string `json:"url,omitempty" maxLength:"2048" doc:"https address, or /v1/media/{id} of an upload."`
	MediaID  string `json:"mediaId,omitempty" maxLength:"128" doc:"Id of an upload; instead of url."`
	MimeType string `json:"mimeType,omitempty" maxLength:"128"`
	Name     string `json:"name,omitempty" maxLength:"255"`
	Caption  string `json:"caption,omitempty" maxLength:"4096"`
}

type sendInput struct {
	IDParam
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"200" doc:"Any text that is this message's alone, such as a UUID. Remembered for a week."`
	Body           SendMessage
}

type sendOutput struct {
	Location string `header:"Location"`
	Body     Message
}

func (a *API) sendMessage(ctx context.Context, in *sendInput) (*sendOutput, error) {
	scope := scopeOf(ctx)
	m, err := a.engine.Send(ctx, scope, in.ID, in.request(scope.Caller))
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &sendOutput{Location: "/v1/messages/" + m.ID, Body: viewMessage(m)}, nil
}

func (in *sendInput) request(caller string) store.SendRequest {
	b := in.Body
	req := store.SendRequest{
		IdempotencyKey: in.IdempotencyKey, Author: message.Author{Kind: message.AuthorAgent, Name: path.Base(caller)}, Epoch: b.Epoch,
		Type: message.Type(b.Type), Text: b.Text, ButtonStyle: message.ButtonStyle(b.ButtonStyle), ReplyTo: b.ReplyTo, Target: b.Target, Subject: b.Subject,
	}
	if b.Author != nil {
		req.Author = message.Author{Kind: message.AuthorKind(b.Author.Kind), Name: b.Author.Name}
	}
	for _, x := range b.Attachments {
		req.Attachments = append(req.Attachments, x.attachment())
	}
	for _, x := range b.Buttons {
		req.Buttons = append(req.Buttons, message.Button(x))
	}
	if b.Template != nil {
		req.Template = b.Template.template()
	}
	if b.Location != nil {
		location := message.Location(*b.Location)
		req.Location = &location
	}
	if b.Reaction != nil {
		req.Reaction = &message.Reaction{Emoji: b.Reaction.Emoji, Action: message.ReactionAction(b.Reaction.Action), Target: b.Reaction.Target}
	}
	if req.Type == "" {
		req.Type = impliedType(b)
	}
	return req
}

func impliedType(b SendMessage) message.Type {
	switch {
	case len(b.Attachments) > 0:
		return message.Type(b.Attachments[0].Kind)
	case b.Location != nil:
		return message.TypeLocation
	case b.Template != nil:
		return message.TypeTemplate
	case b.Reaction != nil:
		return message.TypeReaction
	}
	return message.TypeText
}

func (t Template) template() *message.Template {
	out := &message.Template{}
	for _, c := range t.Cards {
		card := message.Card{Title: c.Title, Subtitle: c.Subtitle, ImageURL: c.ImageURL, URL: c.URL}
		for _, b := range c.Buttons {
			card.Buttons = append(card.Buttons, message.Button(b))
		}
		out.Cards = append(out.Cards, card)
	}
	return out
}

func (x SendAttachment) attachment() message.Attachment {
	out := message.Attachment{
		Kind: message.Type(x.Kind), URL: x.URL, MediaID: x.MediaID, MimeType: x.MimeType, Name: x.Name, Caption: x.Caption,
	}
	// The address that an upload was answered with is as good as its id.
	if id, ok := strings.CutPrefix(x.URL, mediaPath); ok && x.MediaID == "" {
		out.URL, out.MediaID = "", id
	}
	return out
}
