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
	huma.Register(a.huma, operation(http.MethodGet, "/v1/contacts/{id}", "get-contact", "Contacts",
		"One contact with its identities", document.AccessRead, 404), a.getContact)
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
