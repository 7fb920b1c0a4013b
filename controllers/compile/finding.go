package compile

import (
	"time"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// Grace is how long something that is missing or not permitted may take to
// arrive before it counts as a mistake: manifests are applied in any order,
// and controllers that make Secrets take some seconds.
const Grace = 30 * time.Second

// Finding is something wrong with a resource.
type Finding struct {
	// Condition type that it makes false.
	Condition string
	// Reason is one of the constants of the API.
	Reason string
	// Field is the path in the resource, e.g. "spec.bridgeRef".
	Field string
	// Message names the field, what is wrong with it, and the way out. It holds
	// no secret and does not tell what the reader may not know.
	Message string
	// Terminal findings stay until somebody changes something; others pass by
	// themselves.
	Terminal bool
	// Grace is how long a terminal finding counts as passing: see Grace.
	Grace time.Duration
}

// Blocking says whether the resource cannot be Ready with this finding. A
// webhook that cannot be registered does not keep a channel from being loaded.
func (f Finding) Blocking() bool { return f.Condition != v1alpha1.ConditionWebhookRegistered }

func firstBlocking(findings []Finding) *Finding {
	for i := range findings {
		if findings[i].Blocking() {
			return &findings[i]
		}
	}
	return nil
}

// wrong is a finding about what the resource itself says.
func wrong(condition, reason, field, message string) *Finding {
	return &Finding{Condition: condition, Reason: reason, Field: field, Message: field + ": " + message, Terminal: true}
}

// missing is a finding about what the resource names and what may still arrive.
func missing(reason, field, message string) *Finding {
	f := wrong(v1alpha1.ConditionResolvedRefs, reason, field, message)
	f.Grace = Grace
	return f
}

// passing is a finding that needs nobody.
func passing(condition, reason, field, message string) *Finding {
	f := wrong(condition, reason, field, message)
	f.Terminal = false
	return f
}

func invalidSpec(field, message string) *Finding {
	return wrong(v1alpha1.ConditionAccepted, v1alpha1.ReasonInvalidSpec, field, message)
}

// first runs checks in order and returns the first finding.
func first[In any](in In, checks []func(In) *Finding) *Finding {
	for _, check := range checks {
		if f := check(in); f != nil {
			return f
		}
	}
	return nil
}

// collect runs one list of checks per condition.
func collect[In any](in In, chains [][]func(In) *Finding) []Finding {
	var findings []Finding
	for _, chain := range chains {
		if f := first(in, chain); f != nil {
			findings = append(findings, *f)
		}
	}
	return findings
}
