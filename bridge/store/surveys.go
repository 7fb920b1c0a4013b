package store

import (
	"context"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// SurveyReader is what REST reads of survey campaigns. What is outside the scope
// is ErrNotFound. Nothing of it names a contact, but SurveyResponses where that is
// asked for.
type SurveyReader interface {
	// A name that was deleted and applied again is another run: the name stands for
	// the latest, "namespace/name@1" for the first, and so on.

	// Surveys in scope, by name, with the summaries that are kept (at most ten
	// minutes old): those in force, and those that are gone and have answers.
	Surveys(ctx context.Context, s Scope) ([]Survey, error)
	// Survey by "namespace/name", with its report as of now: of what is committed
	// some seconds ago at the latest.
	Survey(ctx context.Context, s Scope, name string) (SurveyReport, error)
	// SurveyResponses calls each with the scores of a campaign until it returns an
	// error, which is passed on: with personal in the order in which they were asked
	// for; without, they say no more than that somebody answered so (see
	// SurveyResponse), their order says nothing either, and of fewer than five there
	// are none.
	SurveyResponses(ctx context.Context, s Scope, name string, personal bool, each func(SurveyResponse) error) error
}

// SurveyWriter is what REST tells survey campaigns. All of it can be repeated with
// the idempotency key of the scope. What is outside the scope is ErrNotFound.
type SurveyWriter interface {
	// TriggerSurvey makes a campaign ("namespace/name") consider a contact. The
	// answer says what was decided, which may be to wait.
	TriggerSurvey(ctx context.Context, s Scope, name string, trigger SurveyTrigger) (SurveyTriggered, error)
	// SurveyAssignment is where the draws of a campaign put a person, who need not
	// have written yet. To ask for it changes nothing: they do not count as asked,
	// nor as drawn.
	SurveyAssignment(ctx context.Context, s Scope, name string, whom SurveyWhom) (SurveyAssignment, error)
	// ContactEvent tells something about a contact that makes questions out of
	// place: survey.NegativeEvent (a refund, a claim). Campaigns that say so drop
	// what they have not asked, or has not been answered.
	ContactEvent(ctx context.Context, s Scope, contact string, kind survey.CancelEvent) error
	// SetConsent keeps what a contact said about a purpose. To opt out of the
	// purpose of an open survey ends it.
	SetConsent(ctx context.Context, s Scope, contact, purpose string, state survey.ConsentState) error
}

// Survey is a campaign that the store knows.
type Survey struct {
	Name string // "namespace/name"
	// InForce is false when the SurveyCampaign is gone: what was answered is not.
	InForce bool
	// Hash of the version in force; empty without one.
	Hash string
	// Summary is what the status of the resource says; nil before it was made.
	Summary *survey.Summary
}

// SurveyReport is a campaign with its report.
type SurveyReport struct {
	Survey
	Report survey.Report
}

// SurveyResponse is one score, with the attribution of the moment at which it was
// asked for. Contact, Conversation, Comment, Answers and the times of day are
// personal: without being asked for, they are not there. Neither is then what
// fewer than five responses have in common (the day; channel and language).
type SurveyResponse struct {
	ID           string // of the dialogue
	AskedAt      time.Time
	AnsweredAt   time.Time // the day alone where it is not personal; zero where too few answered on it
	Score        int
	Late         bool
	Completed    bool
	Arm          string // empty without an experiment
	Channel      string // "namespace/name"
	Language     string // BCP 47
	Contact      string
	Conversation string
	Comment      string
	Answers      []survey.Answer
}

// SurveyTrigger is an event that a campaign is told: about a contact, or about
// the contact of a conversation; one of both is set.
type SurveyTrigger struct {
	Contact      string
	Conversation string
	Event        survey.TriggerEvent // Manual or API
	OccurredAt   time.Time           // now when zero
}

// SurveyTriggered is what was decided about a trigger.
type SurveyTriggered struct {
	Exit    survey.Exit
	Because survey.Deferral // of Deferred
	Until   time.Time       // of Deferred: when it is decided again
	// Assignment of the contact, whatever was decided.
	Assignment SurveyAssignment
}

// SurveyWhom names a person: by one of Contact, Conversation (whose contact is
// meant), and an address.
type SurveyWhom struct {
	Contact      string
	Conversation string
	Channel      string // "namespace/name"
	ExternalID   string // on that channel; it need not have written yet
}

// SurveyAssignment is where the draws of a campaign put a contact.
type SurveyAssignment struct {
	// Contact has this id, or will have it once they write.
	Contact string
	Arm     string // name; empty without an experiment, and for who has left the comparison
	// HeldOut is not asked, so that others can be compared with them; Sampled is to
	// be asked, once an event says so.
	HeldOut, Sampled bool
	// Kept: an event of theirs was drawn for, so that it does not change any more.
	Kept bool
	// AskedAt is when they were asked last; zero: never.
	AskedAt time.Time
}
