package rest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey/report"
)

// csvTimeout bounds a download of responses: a million rows of 100 bytes at 350 kB/s.
const csvTimeout = 5 * time.Minute

func (a *API) registerSurveys() {
	const tag, one = "Surveys", "/v1/surveys/{namespace}/{name}"
	huma.Register(a.huma, operation(http.MethodGet, "/v1/surveys", "list-surveys", tag,
		"Survey campaigns by name", document.AccessRead), a.listSurveys)
	get := operation(http.MethodGet, one, "get-survey", tag, "A survey campaign with its report as of now", document.AccessRead, 404)
	get.Description = "Every number has its interval and its n, and null is no data, not 0. No count, of answers or in the funnel, is about one to four people, " +
		"and no hidden one is the difference of others that are shown: what is left out for that is null, absent, or named as hidden. It is no proof against " +
		"working back: a score, its interval and its n can tell of a few people in a small result, and so can two reports, one from before an answer. Needs access read."
	huma.Register(a.huma, get, a.getSurvey)

	page := operation(http.MethodGet, one+"/report.html", "get-survey-report", tag, "The report as one HTML page", document.AccessRead, 404)
	page.Description = "With its plots, without scripts or anything from elsewhere: to be mailed, or kept. Needs access read."
	page.Responses = map[string]*huma.Response{"200": {Description: "The page", Content: textContent("text/html")}}
	huma.Register(a.huma, page, a.getSurveyPage)

	responses := operation(http.MethodGet, one+"/responses.csv", "get-survey-responses", tag, "All scores of a survey campaign", document.AccessRead, 404)
	responses.Description = "CSV as of RFC 4180 in UTF-8, with a header; no cell begins like a formula. Without personal=true it has nothing of who answered: " +
		"no ids, no texts, no time of day, neither a day nor a channel and language that fewer than five have in common, no line before five have answered, " +
		"and the order of the lines says nothing. Each is judged by itself: a line's arm, score, day and place together can be one person's. Needs access read; personal=true needs access admin."
	responses.Responses = map[string]*huma.Response{"200": {Description: "One line for each score", Content: textContent("text/csv")}}
	huma.Register(a.huma, responses, a.getSurveyResponses)

	trigger := operation(http.MethodPost, one+":trigger", "trigger-survey", tag, "Let a survey campaign consider a contact", document.AccessWrite, 400, 404, 409, 413)
	trigger.Description = "For campaigns that are triggered by Manual or API events. The answer says what was decided: to ask, to wait, or why not. Needs access write."
	huma.Register(a.huma, trigger, a.triggerSurvey)
	a.registerAssignments()
	event := operation(http.MethodPost, "/v1/contacts/{id}/events", "tell-contact-event", "Contacts", "Tell something about a contact", document.AccessWrite, 400, 404, 409, 413)
	event.Description = "NegativeEvent: a refund, a claim. Survey campaigns that say so do not ask about it then. Needs access write."
	event.DefaultStatus = http.StatusNoContent
	huma.Register(a.huma, event, a.tellContactEvent)
	consent := operation(http.MethodPut, "/v1/contacts/{id}/consents/{purpose}", "set-consent", "Contacts", "Say what a contact allows", document.AccessWrite, 400, 404, 409, 413)
	consent.Description = "To a purpose as survey campaigns name it; \"survey\" is theirs by default. Needs access write."
	consent.DefaultStatus = http.StatusNoContent
	huma.Register(a.huma, consent, a.setConsent)
}

func textContent(mediaType string) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{mediaType: {Schema: &huma.Schema{Type: huma.TypeString}}}
}

// Surveys are all campaigns.
type Surveys struct {
	Items []Survey `json:"items" nullable:"false"`
}

func (a *API) listSurveys(ctx context.Context, _ *struct{}) (*output[Surveys], error) {
	list, err := a.engine.Surveys(ctx, scopeOf(ctx))
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	out := Surveys{Items: []Survey{}}
	for _, s := range list {
		view, err := viewSurvey(s)
		if err != nil {
			return nil, a.problemOf(err, "query")
		}
		out.Items = append(out.Items, view)
	}
	return &output[Surveys]{out}, nil
}

// SurveyParam names a campaign; exported as PageParams is.
type SurveyParam struct {
	Namespace string `path:"namespace" maxLength:"63"`
	Name      string `path:"name" maxLength:"253"`
}

func (p SurveyParam) key() string { return p.Namespace + "/" + p.Name }

func (a *API) getSurvey(ctx context.Context, in *SurveyParam) (*output[SurveyWithReport], error) {
	s, err := a.engine.Survey(ctx, scopeOf(ctx), in.key())
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	view, err := viewSurveyReport(s)
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	return &output[SurveyWithReport]{view}, nil
}

func (a *API) getSurveyPage(ctx context.Context, in *SurveyParam) (*streamed, error) {
	s, err := a.engine.Survey(ctx, scopeOf(ctx), in.key())
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	var page bytes.Buffer
	if err := report.Render(&page, s.Report); err != nil {
		return nil, a.problemOf(err, "path")
	}
	x := exchangeOf(ctx)
	return &streamed{Body: func(huma.Context) {
		h := x.w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		// The page's own policy, said where no browser can miss it.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		_, _ = x.w.Write(page.Bytes()) // fails only when the caller has left
	}}, nil
}

type surveyResponsesInput struct {
	SurveyParam
	Personal bool `query:"personal" doc:"With contacts, conversations, comments and times. Needs access admin."`
}

func (a *API) getSurveyResponses(ctx context.Context, in *surveyResponsesInput) (*streamed, error) {
	x := exchangeOf(ctx)
	if in.Personal {
		if _, err := a.authorize(ctx, x.r.Header.Get("Authorization"), document.AccessAdmin); err != nil {
			return nil, err
		}
	}
	scope := scopeOf(ctx)
	// What there is to refuse is refused before a line is written.
	s, err := a.engine.Survey(ctx, scope, in.key())
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	return &streamed{Body: func(huma.Context) {
		control := http.NewResponseController(x.w)
		_ = control.SetWriteDeadline(time.Now().Add(csvTimeout)) // unsupported only without a connection
		h := x.w.Header()
		h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
		h.Set("Content-Disposition", `attachment; filename="`+in.Name+`-responses.csv"`) // a name of Kubernetes has nothing to quote
		if x.r.Method == http.MethodHead {
			return
		}
		if err := a.writeResponses(ctx, x.w, scope, s, in.Personal); err != nil {
			a.log.Warn("responses of a survey were broken off", "survey", in.key(), "error", err)
			panic(http.ErrAbortHandler) // half a list must not look whole
		}
	}}, nil
}

func (a *API) writeResponses(ctx context.Context, w io.Writer, scope store.Scope, s store.SurveyReport, personal bool) error {
	list := newResponseList(w, s.Report, personal)
	if err := list.header(); err != nil {
		return err
	}
	if err := a.engine.SurveyResponses(ctx, scope, s.Name, personal, list.line); err != nil {
		return err
	}
	return list.end()
}

type triggerSurveyInput struct {
	SurveyParam
	KeyParam
	Body struct {
		Contact      string     `json:"contact,omitempty" maxLength:"128" doc:"Id of the contact. This or conversation."`
		Conversation string     `json:"conversation,omitempty" maxLength:"128" doc:"Id of a conversation, whose contact is meant."`
		Event        string     `json:"event,omitempty" enum:"Manual,API" default:"API" doc:"Manual: an agent wants it. API: another system does."`
		OccurredAt   *time.Time `json:"occurredAt,omitempty" doc:"When it happened; now when absent."`
	}
}

// SurveyTriggered is what was decided.
type SurveyTriggered struct {
	Decision string     `json:"decision" doc:"Asked; Deferred; or why nobody is asked, by the names of the funnel's exits."`
	Because  string     `json:"because,omitempty" enum:"Delay,QuietTimes,CampaignCooldown,GroupCooldown,SurveyOpen,ConversationOpen" doc:"Of Deferred."`
	Until    *time.Time `json:"until,omitempty" doc:"Of Deferred: when it is decided again."`
	// Assignment whatever was decided.
	Assignment SurveyAssignment `json:"assignment"`
}

func (a *API) triggerSurvey(ctx context.Context, in *triggerSurveyInput) (*output[SurveyTriggered], error) {
	if (in.Body.Contact == "") == (in.Body.Conversation == "") {
		return nil, a.problemOf(&store.FieldError{Field: "contact", Message: "name a contact or a conversation, one of both"}, "body")
	}
	trigger := store.SurveyTrigger{Contact: in.Body.Contact, Conversation: in.Body.Conversation, Event: survey.TriggerEvent(in.Body.Event)}
	if in.Body.OccurredAt != nil {
		trigger.OccurredAt = *in.Body.OccurredAt
	}
	done, err := a.engine.TriggerSurvey(ctx, in.scope(ctx, "trigger", in.key(), in.Body), in.key(), trigger)
	if err != nil {
		return nil, a.problemOf(err, "body")
	}
	out := SurveyTriggered{Decision: done.Exit.String(), Because: string(done.Because), Assignment: viewAssignment(done.Assignment)}
	if !done.Until.IsZero() {
		out.Until = &done.Until
	}
	return &output[SurveyTriggered]{out}, nil
}

type contactEventInput struct {
	IDParam
	KeyParam
	Body struct {
		Kind string `json:"kind" enum:"NegativeEvent"`
	}
}

func (a *API) tellContactEvent(ctx context.Context, in *contactEventInput) (*struct{}, error) {
	err := a.engine.ContactEvent(ctx, in.scope(ctx, "contactEvent", in.ID, in.Body), in.ID, survey.CancelEvent(in.Body.Kind))
	return nil, a.problemOf(err, "body")
}

type setConsentInput struct {
	IDParam
	KeyParam
	Purpose string `path:"purpose" pattern:"^[a-zA-Z0-9][a-zA-Z0-9._-]*$" maxLength:"63"`
	Body    struct {
		State string `json:"state" enum:"optedIn,optedOut"`
	}
}

func (a *API) setConsent(ctx context.Context, in *setConsentInput) (*struct{}, error) {
	err := a.engine.SetConsent(ctx, in.scope(ctx, "consent", in.ID, in.Purpose, in.Body), in.ID, in.Purpose, survey.ConsentState(in.Body.State))
	return nil, a.problemOf(err, "body")
}
