package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

func (a *API) registerAssignments() {
	op := operation(http.MethodPost, "/v1/surveys/{namespace}/{name}:assignment", "get-survey-assignment", "Surveys",
		"Where the draws of a survey campaign put a person", document.AccessRead, 400, 404, 413)
	op.Description = "Arm, holdout and sample of a contact, or of an address that has not written yet: by the arm another system offers a channel, say, before there is anybody to ask. " +
		"It is a read (the address is in the body, as URLs are logged): nothing is drawn, counted or asked by it, and asked again it answers the same. Needs access read."
	huma.Register(a.huma, op, a.getAssignment)
}

// SurveyAssignment is where the draws of a campaign put a contact.
type SurveyAssignment struct {
	Contact string     `json:"contact" doc:"Id of the contact, or the one that they will have once they write."`
	Arm     string     `json:"arm,omitempty" doc:"Absent without an experiment, and for who has left the comparison (asked in two arms before they were merged)."`
	HeldOut bool       `json:"heldOut" doc:"Not asked, so that others can be compared with them."`
	Sampled bool       `json:"sampled" doc:"To be asked, once an event says so and nothing else stands against it."`
	Kept    bool       `json:"kept" doc:"An event of theirs was drawn for: it does not change any more. Until then it follows the campaign's weights and shares."`
	AskedAt *time.Time `json:"askedAt,omitempty" doc:"When the campaign asked them last."`
}

func viewAssignment(s store.SurveyAssignment) SurveyAssignment {
	out := SurveyAssignment{Contact: s.Contact, Arm: s.Arm, HeldOut: s.HeldOut, Sampled: s.Sampled, Kept: s.Kept}
	if !s.AskedAt.IsZero() {
		out.AskedAt = &s.AskedAt
	}
	return out
}

type surveyAssignmentInput struct {
	SurveyParam
	Body struct {
		Contact      string `json:"contact,omitempty" maxLength:"128" doc:"Id of the contact. This, a conversation, or an address."`
		Conversation string `json:"conversation,omitempty" maxLength:"128" doc:"Id of a conversation, whose contact is meant. Required where sampling.unit is Conversation."`
		Channel      string `json:"channel,omitempty" pattern:"^[a-z0-9.-]+/[a-z0-9.-]+$" patternDescription:"namespace/name" maxLength:"320" doc:"With externalId: the Channel (namespace/name) of the address."`
		ExternalID   string `json:"externalId,omitempty" maxLength:"512" doc:"The address on that channel, as the platform writes it."`
	}
}

func (a *API) getAssignment(ctx context.Context, in *surveyAssignmentInput) (*output[SurveyAssignment], error) {
	got, err := a.engine.SurveyAssignment(ctx, scopeOf(ctx), in.key(), store.SurveyWhom(in.Body))
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	return &output[SurveyAssignment]{viewAssignment(got)}, nil
}
