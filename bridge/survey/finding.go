package survey

import "fmt"

// Finding is a mistake in a campaign. Any finding keeps all of it from running:
// half a measurement is none.
type Finding struct {
	// Field is the path within the spec, e.g. "arms[1].channels[0]".
	Field  string `json:"field"`
	Reason Reason `json:"reason"`
	// Message says what is wrong and what to do about it.
	Message string `json:"message"`
}

func (f Finding) String() string { return f.Field + ": " + f.Message }

// Reason is a finding's class; the same words are the reasons of conditions.
type Reason string

const (
	ReasonInvalid            Reason = "Invalid"
	ReasonInvalidExpression  Reason = "InvalidExpression"
	ReasonNoScoreQuestion    Reason = "NoScoreQuestion"
	ReasonMissingTranslation Reason = "MissingTranslation"
	ReasonOverlappingArms    Reason = "OverlappingArms"
	ReasonWindowInPast       Reason = "WindowInPast"
	ReasonChannelNotFound    Reason = "ChannelNotFound"
	ReasonChannelCannotAsk   Reason = "ChannelCannotAsk"
	ReasonScheduleNotFound   Reason = "ScheduleNotFound"
	ReasonQueueNotFound      Reason = "QueueNotFound"
)

// Reference says that the mistake is in what the campaign refers to (condition
// ResolvedRefs), not in the campaign itself (Accepted).
func (r Reason) Reference() bool {
	switch r {
	case ReasonChannelNotFound, ReasonChannelCannotAsk, ReasonScheduleNotFound, ReasonQueueNotFound:
		return true
	}
	return false
}

func (c *compiler) report(reason Reason, field, format string, args ...any) {
	c.findings = append(c.findings, Finding{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (c *compiler) invalid(field, format string, args ...any) {
	c.report(ReasonInvalid, field, format, args...)
}
