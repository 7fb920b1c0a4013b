package routing

import "fmt"

// Finding is something wrong with a policy or a bot, and what becomes of it.
type Finding struct {
	// Field is the path within the spec, e.g. "rules[0].steps[1].backendRefs[1].name".
	Field  string `json:"field"`
	Reason Reason `json:"reason"`
	Effect Effect `json:"effect"`
	// Message says what is wrong and what to do about it.
	Message string `json:"message"`
	// Rule that it is about, if one.
	Rule string `json:"rule,omitempty"`
	// ShadowedBy are the rules that take everything this one would, in order.
	ShadowedBy []string `json:"shadowedBy,omitempty"`
}

func (f Finding) String() string { return f.Field + ": " + f.Message }

// Reason is a finding's class; the same words are the reasons of conditions.
type Reason string

const (
	ReasonInvalid           Reason = "Invalid"
	ReasonUnknownField      Reason = "UnknownField"
	ReasonInvalidExpression Reason = "InvalidExpression"
	ReasonNoDefaultRoute    Reason = "NoDefaultRoute"
	ReasonBackendNotFound   Reason = "BackendNotFound"
	ReasonScheduleNotFound  Reason = "ScheduleNotFound"
	ReasonShadowed          Reason = "Shadowed"
	ReasonUnreachable       Reason = "Unreachable"
	ReasonConflicted        Reason = "Conflicted"
)

// Effect is what becomes of a policy with a finding.
type Effect string

const (
	// EffectRejected: nothing of it is used; the version before stays in force.
	EffectRejected Effect = "Rejected"
	// EffectRuleDropped: this rule is left out, the others work.
	EffectRuleDropped Effect = "RuleDropped"
	// EffectDegraded: it works, except for what the message says.
	EffectDegraded Effect = "Degraded"
	// EffectNone: a hint.
	EffectNone Effect = "None"
)

// Rejected reports whether any finding keeps the whole from being used.
func Rejected(findings []Finding) bool {
	for _, f := range findings {
		if f.Effect == EffectRejected {
			return true
		}
	}
	return false
}

// findings collects, for the rule that is being looked at.
type findings struct {
	all    []Finding
	rule   string // empty: what is wrong concerns the whole policy
	broken bool   // the current rule has to be dropped
}

// invalid reports a mistake that drops the current rule or rejects the policy.
func (c *findings) invalid(field, format string, args ...any) {
	c.invalidBecause(ReasonInvalid, field, format, args...)
}

func (c *findings) invalidBecause(reason Reason, field, format string, args ...any) {
	effect := EffectRejected
	if c.rule != "" {
		effect, c.broken = EffectRuleDropped, true
	}
	c.add(reason, effect, field, format, args...)
}

func (c *findings) add(reason Reason, effect Effect, field, format string, args ...any) {
	c.all = append(c.all, Finding{Field: field, Reason: reason, Effect: effect, Message: fmt.Sprintf(format, args...), Rule: c.rule})
}
