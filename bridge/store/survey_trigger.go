package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// TriggerSurvey makes a campaign consider a contact, and says what was decided.
// With an idempotency key it does so once; repeated, it says how that stands.
func (s *Store) TriggerSurvey(ctx context.Context, scope Scope, name string, trigger SurveyTrigger) (SurveyTriggered, error) {
	c := s.state.Load().surveys.byName[name]
	if err := scope.Write.check(); err != nil {
		return SurveyTriggered{}, err
	}
	if c == nil || !scope.Allows(namespaceOf(name)) {
		return SurveyTriggered{}, fmt.Errorf("survey %s: %w", name, ErrNotFound)
	}
	return untilSent(ctx, s, func() (SurveyTriggered, error) { return s.triggerSurvey(ctx, scope, c, trigger) })
}

func (s *Store) triggerSurvey(ctx context.Context, scope Scope, c *campaignEntry, trigger SurveyTrigger) (SurveyTriggered, error) {
	r, err := s.newTrigger(ctx, scope, c, trigger)
	if err != nil {
		return SurveyTriggered{}, err
	}
	ns := namespaceOf(c.program.Name)
	id := ""
	err = s.surveys.decide(ctx, r.contact, func(t *txn) error {
		now, err := t.survivor(r.contact)
		if err == nil && now != r.contact {
			err = errMergedSince
		}
		if err != nil {
			return err
		}
		first, done, err := t.repeated(ns, scope.Write)
		if id = first; err != nil || done {
			return err
		}
		fresh := *r // the transaction may be run twice
		fresh.dueAt = ms(t.now)
		if fresh.at == 0 {
			fresh.at = ms(t.now)
		}
		if err := t.addTrigger(&fresh); err != nil {
			return err
		}
		id = fresh.id
		return t.remember(ns, scope.Write, id)
	})
	if err != nil {
		return SurveyTriggered{}, err
	}
	return s.triggered(ctx, c, id)
}

// newTrigger checks what a caller tells and finds whom it is about.
func (s *Store) newTrigger(ctx context.Context, scope Scope, c *campaignEntry, trigger SurveyTrigger) (*triggerRow, error) {
	now := s.now()
	switch {
	case trigger.Event != survey.Manual && trigger.Event != survey.API:
		return nil, &FieldError{Field: "event", Message: fmt.Sprintf("is %q; write Manual or API", trigger.Event)}
	case !slices.Contains(c.program.Campaign.Trigger.Events, trigger.Event):
		return nil, &FieldError{Field: "event", Message: fmt.Sprintf("SurveyCampaign %s does not ask on %s; add it to spec.trigger.events", c.program.Name, trigger.Event)}
	case (trigger.Contact == "") == (trigger.Conversation == ""):
		return nil, &FieldError{Field: "contact", Message: "write either contact or conversation"}
	case trigger.OccurredAt.After(now.Add(time.Minute)):
		return nil, &FieldError{Field: "occurredAt", Message: "is in the future"}
	}
	r := &triggerRow{campaign: s.surveys.runOf(c.program.Name), contact: trigger.Contact, conversation: trigger.Conversation, event: trigger.Event}
	if !trigger.OccurredAt.IsZero() {
		r.at = ms(trigger.OccurredAt.UTC().Truncate(time.Millisecond))
	}
	var namespace string
	if trigger.Conversation != "" {
		v, err := s.conversation(ctx, s.read, scope, trigger.Conversation)
		if err != nil {
			return nil, err
		}
		r.contact, r.resolution, namespace = v.contact, v.solvedAt, v.namespace
	} else {
		known, err := s.Contact(ctx, scope, trigger.Contact)
		if err != nil {
			return nil, err
		}
		r.contact, namespace = known.ID, known.Namespace
	}
	if !c.namespaces()[namespace] {
		return nil, &FieldError{Field: "contact", Message: "is of a namespace in which the campaign has no channel"}
	}
	return r, nil
}

// triggered is what was decided about a trigger.
func (s *Store) triggered(ctx context.Context, c *campaignEntry, id string) (out SurveyTriggered, err error) {
	var raw, contact, conversation string
	found, err := one(ctx, s.read, []any{&raw, &contact, &conversation}, `SELECT decision, contact, conversation FROM survey_triggers WHERE id = ?`, id)
	if err != nil {
		return out, err
	}
	if !found || raw == "" {
		return out, fmt.Errorf("%w: it is noted, and is decided shortly", ErrUnavailable)
	}
	var d survey.Decision
	if err := unmarshalSome(raw, &d); err != nil {
		return out, err
	}
	out = SurveyTriggered{Exit: d.Exit, Because: d.Because, Until: d.Until}
	out.Assignment, err = s.assignment(ctx, c.program, contact, conversation)
	return out, err
}
