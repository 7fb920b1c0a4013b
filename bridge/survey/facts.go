package survey

import "time"

// Facts are everything that a decision to ask depends on, collected once and
// kept with it, so that it can be replayed and explained.
type Facts struct {
	// Now is when it is decided: the only clock there is.
	Now time.Time `json:"now"`
	// Event is what happened, and when.
	Event       TriggerEvent `json:"event"`
	TriggeredAt time.Time    `json:"triggeredAt"`
	// Stopped: a stop rule of the campaign has been reached (Program.Stops).
	Stopped      bool              `json:"stopped,omitempty"`
	Contact      ContactFacts      `json:"contact"`
	Conversation ConversationFacts `json:"conversation,omitzero"`
	// Channels that the contact has an identity on.
	Channels []ChannelFacts `json:"channels,omitempty"`
	Ledger   Ledger         `json:"ledger,omitzero"`
	// Assigned is the assignment that was kept for this contact before (after
	// two contacts became one: the earlier); nil: none, it is drawn.
	Assigned *Assignment `json:"assigned,omitempty"`
	// Outranked: a campaign of the group with a higher priority (of two with the
	// same, the first by name) asks this contact now.
	Outranked bool `json:"outranked,omitempty"`
	// Reopened and NegativeEvent happened since the trigger. A follow-up that the
	// contact began in the thread, and another conversation of theirs there that is
	// not solved, count as reopened: what was solved is not.
	Reopened      bool `json:"reopened,omitempty"`
	NegativeEvent bool `json:"negativeEvent,omitempty"`
}

// ConsentState is what a contact said about a purpose.
type ConsentState string

const (
	ConsentUnknown  ConsentState = ""
	ConsentOptedIn  ConsentState = "optedIn"
	ConsentOptedOut ConsentState = "optedOut"
)

// ContactFacts are about the person.
type ContactFacts struct {
	// ID is the store's, stable across clusters: what sampling goes by.
	ID         string            `json:"id"`
	Language   string            `json:"language"` // BCP 47, empty: unknown
	Attributes map[string]string `json:"attributes"`
	// Consent to the purpose of the campaign.
	Consent ConsentState `json:"consent"`
}

// ConversationFacts are about the conversation that the event is about, if any.
type ConversationFacts struct {
	ID              string            `json:"id"`
	Channel         string            `json:"channel"` // "namespace/name"
	Labels          map[string]string `json:"labels"`
	AutoResolved    bool              `json:"autoResolved"`
	InboundMessages int               `json:"inboundMessages"`
}

// ChannelFacts are about an identity of the contact.
type ChannelFacts struct {
	Name      string `json:"name"` // "namespace/name"
	Reachable bool   `json:"reachable"`
	// WindowUntil is the end of the platform's messaging window; zero where the
	// platform has none. Template says that one is approved for beyond it.
	WindowUntil time.Time `json:"windowUntil,omitzero"`
	Template    bool      `json:"template,omitempty"`
	// SurveyUntil is how long another survey waits for a reply there; zero: none.
	SurveyUntil time.Time `json:"surveyUntil,omitzero"`
	// Attended: the contact has a conversation there that they wrote in and that is
	// not solved, so that somebody may be waiting for what they write.
	Attended bool `json:"attended,omitempty"`
}

// Ledger is what the store remembers of having asked, by (contact, campaign)
// and (contact, group). Zero times: never.
type Ledger struct {
	// Already: asked about this resolution, conversation or contact, as OncePer says.
	Already  bool  `json:"already,omitempty"`
	Campaign Clock `json:"campaign,omitzero"`
	Group    Clock `json:"group,omitzero"`
}

// Clock is when a contact was last asked and last answered.
type Clock struct {
	Sent     time.Time `json:"sent,omitzero"`
	Answered time.Time `json:"answered,omitzero"`
}

// Later joins the clocks of two contacts that became one: of each time the
// latest, so that a merge never shortens a cool-down.
func (c Clock) Later(other Clock) Clock {
	return Clock{Sent: later(c.Sent, other.Sent), Answered: later(c.Answered, other.Answered)}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// from is the time that a cool-down runs from.
func (c Clock) from(what CooldownFrom) time.Time {
	if what == FromAnswered {
		return c.Answered
	}
	return c.Sent
}
