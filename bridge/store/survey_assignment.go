package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// SurveyAssignment is where the draws of a campaign put a person. A contact's id
// follows from their first address, and the draws from the id: so another system can
// act by them (offer a channel to those of one arm) before anybody wrote.
func (s *Store) SurveyAssignment(ctx context.Context, scope Scope, name string, whom SurveyWhom) (SurveyAssignment, error) {
	c := s.state.Load().surveys.byName[name]
	if c == nil || !scope.Allows(namespaceOf(name)) {
		return SurveyAssignment{}, fmt.Errorf("survey %s: %w", name, ErrNotFound)
	}
	contact, namespace, err := s.whom(ctx, scope, whom)
	if err != nil {
		return SurveyAssignment{}, err
	}
	if !c.namespaces()[namespace] {
		return SurveyAssignment{}, &FieldError{Field: whom.field(), Message: "is of a namespace in which the campaign has no channel"}
	}
	if c.program.Campaign.Sampling.Unit == survey.UnitConversation && whom.Conversation == "" {
		return SurveyAssignment{}, &FieldError{Field: "conversation", Message: "is required: the campaign draws by conversation (sampling.unit), so that a person has no arm of their own"}
	}
	return s.assignment(ctx, c.program, contact, whom.Conversation)
}

// field is the one that names the person.
func (w SurveyWhom) field() string {
	switch {
	case w.Conversation != "":
		return "conversation"
	case w.Channel != "":
		return "channel"
	}
	return "contact"
}

// whom finds the contact that is meant, or the id that they will have.
func (s *Store) whom(ctx context.Context, scope Scope, w SurveyWhom) (contact, namespace string, err error) {
	named := 0
	for _, set := range []bool{w.Contact != "", w.Conversation != "", w.Channel != "" || w.ExternalID != ""} {
		named += int(boolInt(set))
	}
	switch {
	case named != 1:
		return "", "", &FieldError{Field: "contact", Message: "write one of contact, conversation, or channel with externalId"}
	case w.Contact != "":
		c, err := s.Contact(ctx, scope, w.Contact)
		return c.ID, c.Namespace, err
	case w.Conversation != "":
		v, err := s.conversation(ctx, s.read, scope, w.Conversation)
		return v.contact, v.namespace, err
	}
	return s.futureContact(ctx, scope, w)
}

// futureContact is whose address it is or, where nobody wrote from there, the id
// that its contact will have (arrival.meet).
func (s *Store) futureContact(ctx context.Context, scope Scope, w SurveyWhom) (contact, namespace string, err error) {
	if w.Channel == "" {
		return "", "", &FieldError{Field: "channel", Message: "is required with externalId: an address means something on its channel only"}
	}
	if err := checkID("externalId", clean(w.ExternalID)); err != nil {
		return "", "", &FieldError{Field: "externalId", Message: "must be the address on the channel, of 1 to 512 bytes"}
	}
	ch := s.state.Load().channel(w.Channel)
	if ch == nil || !scope.Allows(ch.Namespace) {
		return "", "", fmt.Errorf("channel %s: %w", w.Channel, ErrNotFound)
	}
	found, err := one(ctx, s.read, []any{&contact}, `SELECT contact FROM identities WHERE external_id = ? AND channel = ?`, clean(w.ExternalID), ch.Name)
	for generation := 0; err == nil && !found; generation++ {
		contact = contactID(ch.Namespace, ch.Platform, ch.Account, clean(w.ExternalID), generation)
		var now string
		var moved int
		known, err := one(ctx, s.read, []any{&now, &moved}, `SELECT CASE WHEN c.merged_into <> '' THEN c.merged_into ELSE c.id END, (SELECT COUNT(*) FROM identities i
			WHERE i.contact = CASE WHEN c.merged_into <> '' THEN c.merged_into ELSE c.id END AND i.channel = ?) FROM contacts c WHERE c.id = ?`, ch.Name, contact)
		if err != nil {
			return "", "", err
		}
		if known && moved > 0 {
			continue // somebody else was there before, and has moved on
		}
		if known {
			contact = now
		}
		found = true
	}
	return contact, ch.Namespace, err
}

// assignment is what was kept of a contact's draws, else what they are.
func (s *Store) assignment(ctx context.Context, p *survey.Program, contact, conversation string) (out SurveyAssignment, err error) {
	out.Contact = contact
	drawn := p.Assign(contact, conversation)
	hash, err := s.surveys.hashes.of(ctx, s.read, contact)
	if err != nil && !errors.Is(err, errNoSalt) {
		return out, err
	}
	left := false
	if err == nil {
		ledger, err := askedLedger(ctx, s.read, hash)
		if err != nil {
			return out, err
		}
		if r := ledger[campaignKey(p)]; r != nil {
			out.AskedAt = fromMS(r.sentAt)
		}
		if r := ledger[drawKey(s.surveys.runOf(p.Name))]; r != nil && r.assignedAt > 0 && p.Campaign.Sampling.Unit == survey.UnitContact {
			drawn, out.Kept = r.assignment, true
			left = !out.AskedAt.IsZero() && !drawn.Sampled && !drawn.HeldOut // see survey.JoinDraws
		}
	}
	out.HeldOut, out.Sampled = drawn.HeldOut, drawn.Sampled && !drawn.HeldOut
	if names := p.Arms(); !left && drawn.Arm >= 0 && drawn.Arm < len(names) {
		out.Arm = names[drawn.Arm]
	}
	return out, nil
}
