package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerContacts() {
	huma.Register(a.huma, operation(http.MethodGet, "/v1/contacts", "list-contacts", "Contacts",
		"Contacts", document.AccessRead, 404), a.listContacts)
	get := operation(http.MethodGet, "/v1/contacts/{id}", "get-contact", "Contacts", "One contact with its identities", document.AccessRead, 404)
	get.Description = "The id of a contact that was merged into another one gets that other one, whose `id` differs and whose `mergedIds` name the one asked for. Needs access read."
	huma.Register(a.huma, get, a.getContact)
	merge := operation(http.MethodPost, "/v1/contacts/{id}:merge", "merge-contacts", "Contacts", "Make another contact one with this one", document.AccessWrite, 400, 404, 409, 413)
	merge.Description = "They are one person, of one namespace. This contact stays, and gets all that the other one has: addresses, conversations with their owners and labels, what is queued for them " +
		"(each lane in its order), who had them last, what surveys asked, and when. Of names, language and attributes those of this contact count, and the other one's where it has none; " +
		"of consents the later word. In an experiment the draw holds by which they were asked, else the earlier one; who was asked in two arms leaves the comparison. " +
		"The other id goes on to mean this contact, wherever it is used; `contact.merged` tells of it. It cannot be undone; done again it does nothing. Needs access write."
	huma.Register(a.huma, merge, a.mergeContacts)
	erase := operation(http.MethodDelete, "/v1/contacts/{id}", "erase-contact", "Contacts", "Erase a contact with all that is known of it", document.AccessAdmin, 404, 409)
	erase.Description = "Names, addresses, attributes, conversations, messages and their attachments, what is queued for it (cancelled), decisions, words of surveys, opt-ins; the journal's payloads " +
		"that brought it at once, those that have one of its addresses in them within minutes. What remains says nothing of anybody: counts, scores, ids in the event log, and that they opted out of a " +
		"purpose, under a salted hash, so that nobody asks again should they come back. Payloads that nobody could route or that are enciphered go with the journal, and what backups hold with them. " +
		"`contact.erased` tells others to do the same. By an id that was merged into another contact it is that one that is erased. 503: a message is being sent to it at this moment, or not all could be removed; repeat it. Needs access admin."
	erase.DefaultStatus = http.StatusNoContent
	huma.Register(a.huma, erase, a.eraseContact)
}

type eraseContactInput struct {
	IDParam
	KeyParam
}

func (a *API) eraseContact(ctx context.Context, in *eraseContactInput) (*struct{}, error) {
	return nil, a.problemOf(a.engine.EraseContact(ctx, in.scope(ctx, "erase", in.ID), in.ID), "path")
}

type mergeContactsInput struct {
	IDParam
	KeyParam
	Body struct {
		From string `json:"from" minLength:"1" maxLength:"128" doc:"Id of the contact that becomes one with this one."`
	}
}

func (a *API) mergeContacts(ctx context.Context, in *mergeContactsInput) (*output[Contact], error) {
	c, err := a.engine.MergeContacts(ctx, in.scope(ctx, "merge", in.ID, in.Body), in.ID, in.Body.From)
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[Contact]{viewContact(c)}, nil
}

type listContactsInput struct {
	PageParams
	Channel    string `query:"channel" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" example:"shop/messenger-main" doc:"Only with an identity on this Channel (namespace/name)."`
	ExternalID string `query:"externalId" maxLength:"512" doc:"Only with this address."`
}

func (a *API) listContacts(ctx context.Context, in *listContactsInput) (*output[Page[Contact]], error) {
	page, err := a.engine.Contacts(ctx, scopeOf(ctx), store.ContactQuery{
		PageQuery: in.query(), Channel: in.Channel, ExternalID: in.ExternalID,
	})
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &output[Page[Contact]]{viewPage(page, viewContact)}, nil
}

func (a *API) getContact(ctx context.Context, in *IDParam) (*output[Contact], error) {
	c, err := a.engine.Contact(ctx, scopeOf(ctx), in.ID)
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	return &output[Contact]{viewContact(c)}, nil
}
