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
