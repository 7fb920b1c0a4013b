package actors

import (
	"context"
	"net/http"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Resolve solves a conversation.
func (d *Desk) Resolve(ctx context.Context, conversation string) error {
	return d.rest.call(ctx, http.MethodPost, "/v1/conversations/"+conversation+":resolve", nil, nil)
}

// Survey returns the report of a campaign ("namespace/name") as of now.
func (d *Desk) Survey(ctx context.Context, name string) (survey.Report, error) {
	var out struct {
		Report survey.Report `json:"report"`
	}
	err := d.rest.call(ctx, http.MethodGet, "/v1/surveys/"+name, nil, &out)
	return out.Report, err
}

// TriggerSurvey lets a campaign consider a contact, and returns what was decided.
func (d *Desk) TriggerSurvey(ctx context.Context, name, contact string) (string, error) {
	var out struct {
		Decision string `json:"decision"`
	}
	err := d.rest.call(ctx, http.MethodPost, "/v1/surveys/"+name+":trigger", map[string]string{"contact": contact, "event": "API"}, &out)
	return out.Decision, err
}
