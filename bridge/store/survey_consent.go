package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Sources of a consent beside the tokens of REST.
const (
	sourceReply = "reply" // to a question
	sourceWord  = "word"  // of opting out, elsewhere
)

// maxPurpose bounds the name of a purpose, in bytes.
const maxPurpose = 63

// consentOf is what a contact (its hash) said about a purpose.
func consentOf(ctx context.Context, q querier, contact, purpose string) (state survey.ConsentState, err error) {
	_, err = one(ctx, q, []any{&state}, `SELECT state FROM contact_consents WHERE contact = ? AND purpose = ?`, contact, purpose)
	return state, err
}

// optOut withdraws a contact's consent to a purpose, which ends the dialogues that
// are open for it, except for the one in which they said so.
func (x *surveys) optOut(t *txn, contact, purpose, source, except string) error {
	hash, err := x.hashes.of(t.ctx, t, contact)
	if err != nil {
		return err
	}
	if err := t.consent(hash, purpose, survey.ConsentOptedOut, source); err != nil {
		return err
	}
	if err := x.noteOptedOut(t, hash, purpose); err != nil {
		return err
	}
	open, err := readDialogues(t.ctx, t, `WHERE contact = ? AND open = 1`, contact)
	if err != nil {
		return err
	}
	for i := range open {
		p, err := x.program(t.ctx, t, open[i].campaign)
		if err != nil {
			return err
		}
		if p == nil || p.Campaign.Audience.Consent.Purpose != purpose || open[i].id == except {
			continue
		}
		if err := t.surveyEvent(survey.Input{Kind: survey.InputOptedOut}, `WHERE id = ? AND open = 1`, open[i].id); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) consent(hash, purpose string, state survey.ConsentState, source string) error {
	return t.later(`INSERT INTO contact_consents (contact, purpose, state, at, source) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (contact, purpose) DO UPDATE SET state = excluded.state, at = excluded.at, source = excluded.source`, hash, purpose, string(state), ms(t.now), source)
}

// noteOptedOut counts, for the comparisons, that a contact who was drawn opted out.
func (x *surveys) noteOptedOut(t *txn, hash, purpose string) error {
	return x.noteOutcome(t, hash, `opted_out_at`, countContactsOptedOut, 0, func(p *survey.Program) bool { return p.Campaign.Audience.Consent.Purpose == purpose })
}

// returned counts, for the comparisons, that a contact who was drawn came again.
func (x *surveys) returned(t *txn, contact string) error {
	hash, err := x.hashes.of(t.ctx, t, contact)
	if err != nil {
		return err
	}
	return x.noteOutcome(t, hash, `returned_at`, countContactsReturned, ms(t.now.Add(-survey.RepeatContactWindow)), func(*survey.Program) bool { return true })
}

// noteOutcome marks the draws of a contact since a time, once each, and counts them.
func (x *surveys) noteOutcome(t *txn, hash, column, name string, since int64, concerned func(*survey.Program) bool) error {
	drawn, err := all(t.ctx, t, func(rows *sql.Rows) (r ledgerRow, err error) {
		var held, sampled int64
		err = rows.Scan(&r.name, &held, &sampled, &r.assignment.Arm)
		r.assignment.HeldOut, r.assignment.Sampled = held == 1, sampled == 1
		return r, err
	}, `SELECT name, held_out, sampled, arm FROM survey_ledger WHERE contact = ? AND kind = 'campaign' AND assigned_at > ? AND `+column+` = 0 ORDER BY name`, hash, since)
	if err != nil {
		return err
	}
	for _, r := range drawn {
		p, err := x.program(t.ctx, t, r.name)
		if err != nil {
			return err
		}
		if p == nil || !concerned(p) {
			continue
		}
		marked, err := t.exec(`UPDATE survey_ledger SET `+column+` = ? WHERE contact = ? AND kind = 'campaign' AND name = ? AND `+column+` = 0`, ms(t.now), hash, r.name)
		if err != nil {
			return err
		}
		if marked > 0 && (r.assignment.Sampled || r.assignment.HeldOut) {
			t.count(r.name, name, armOf(survey.Decision{Assigned: true, Assignment: r.assignment}), 1)
		}
	}
	return nil
}

// optOutOfAll is for a contact who wrote a word of opting out without having been
// asked just now: they are left alone by all campaigns that have drawn them.
func (x *surveys) optOutOfAll(t *txn, contact string) error {
	hash, err := x.hashes.of(t.ctx, t, contact)
	if err != nil {
		return err
	}
	drawn, err := all(t.ctx, t, scanText, `SELECT name FROM survey_ledger WHERE contact = ? AND kind = 'campaign' AND assigned_at > 0 ORDER BY name`, hash)
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, name := range drawn {
		p, err := x.program(t.ctx, t, name)
		if err != nil {
			return err
		}
		if p == nil || done[p.Campaign.Audience.Consent.Purpose] {
			continue
		}
		done[p.Campaign.Audience.Consent.Purpose] = true
		if err := x.optOut(t, contact, p.Campaign.Audience.Consent.Purpose, sourceWord, ""); err != nil {
			return err
		}
	}
	return nil
}

// SetConsent keeps what a contact said about a purpose; survey.ConsentUnknown
// forgets it. To opt out of the purpose of an open survey ends it.
func (s *Store) SetConsent(ctx context.Context, scope Scope, contact, purpose string, state survey.ConsentState) error {
	switch {
	case purpose == "" || len(purpose) > maxPurpose || clean(purpose) != purpose:
		return &FieldError{Field: "purpose", Message: fmt.Sprintf("must be valid text of 1 to %d bytes", maxPurpose)}
	case state != survey.ConsentUnknown && state != survey.ConsentOptedIn && state != survey.ConsentOptedOut:
		return &FieldError{Field: "state", Message: fmt.Sprintf("is %q; write optedIn, optedOut, or nothing to forget what was said", state)}
	}
	return s.tellSurveys(ctx, scope, contact, func(t *txn, contact string) error {
		if err := drawSalt(t); err != nil {
			return err
		}
		if state == survey.ConsentOptedOut {
			return s.surveys.optOut(t, contact, purpose, "token "+scope.Caller, "")
		}
		hash, err := s.surveys.hashes.of(t.ctx, t, contact)
		if err != nil {
			return err
		}
		if state == survey.ConsentUnknown {
			return t.later(`DELETE FROM contact_consents WHERE contact = ? AND purpose = ?`, hash, purpose)
		}
		return t.consent(hash, purpose, state, "token "+scope.Caller)
	})
}

// ContactEvent tells something about a contact that makes questions out of place:
// survey.NegativeEvent.
func (s *Store) ContactEvent(ctx context.Context, scope Scope, contact string, kind survey.CancelEvent) error {
	if kind != survey.NegativeEvent {
		return &FieldError{Field: "kind", Message: fmt.Sprintf("is %q; write NegativeEvent", kind)}
	}
	return s.tellSurveys(ctx, scope, contact, func(t *txn, contact string) error {
		if err := t.later(`UPDATE survey_triggers SET negative_at = ? WHERE contact = ? AND due_at > 0 AND negative_at = 0`, ms(t.now), contact); err != nil {
			return err
		}
		return t.surveyEvent(survey.Input{Kind: survey.InputNegativeEvent}, `WHERE contact = ? AND open = 1 ORDER BY id`, contact)
	})
}

// tellSurveys runs a write about a contact, once by its idempotency key.
func (s *Store) tellSurveys(ctx context.Context, scope Scope, contact string, tell func(t *txn, contact string) error) error {
	if err := scope.Write.check(); err != nil {
		return err
	}
	known, err := s.Contact(ctx, scope, contact)
	if err != nil {
		return err
	}
	return s.writeLocked(ctx, 1, newLocks().survey(known.ID), func(t *txn) error {
		if _, done, err := t.repeated(known.Namespace, scope.Write); err != nil || done {
			return err
		}
		if err := t.remember(known.Namespace, scope.Write, ""); err != nil {
			return err
		}
		now, err := t.survivor(known.ID)
		switch {
		case err == nil && now == "":
			return fmt.Errorf("contact %s: %w", contact, ErrNotFound)
		case err == nil:
			err = t.hold(spaceSurvey, now) // it is another one where it was merged meanwhile
		}
		if err != nil {
			return err
		}
		return tell(t, now)
	})
}
