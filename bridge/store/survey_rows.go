package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// triggerRow is an event that made a campaign consider a contact, with where its
// decision stands.
type triggerRow struct {
	id, campaign, contact string
	conversation          string // '' where the event is about none
	resolution            int64  // when that was solved
	autoResolved          int64
	event                 survey.TriggerEvent
	at                    int64
	negativeAt            int64
	exit                  string // of survey.Exit; '' before it is decided
	arm                   int
	dueAt                 int64
}

const triggerColumns = `id, campaign, contact, conversation, resolution, auto_resolved, event, at, negative_at, exit, arm, due_at`

func scanTrigger(rows *sql.Rows) (r triggerRow, err error) {
	return r, rows.Scan(&r.id, &r.campaign, &r.contact, &r.conversation, &r.resolution, &r.autoResolved, &r.event, &r.at, &r.negativeAt, &r.exit, &r.arm, &r.dueAt)
}

// addTrigger inserts a trigger, to be decided when it is due.
func (t *txn) addTrigger(r *triggerRow) error {
	r.id, r.arm = t.newID(), noArm
	return t.later(`INSERT INTO survey_triggers (`+triggerColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.id, r.campaign, r.contact, r.conversation, r.resolution, r.autoResolved, string(r.event), r.at, r.negativeAt, r.exit, r.arm, r.dueAt)
}

// Outcomes of a question. Each has one, which does not change any more.
const (
	outcomeWaiting   = ""
	outcomeAnswered  = "answered"
	outcomeOptedOut  = "optedOut"
	outcomeCancelled = "cancelled"
	outcomeExpired   = "expired"
	outcomeFailed    = "failed" // it never arrived; counted by its delivery
)

// Deliveries of a question.
const (
	questionDelivered = "delivered"
	questionFailed    = "failed"
)

// dialogueRow is a question with the dialogue that follows from it.
type dialogueRow struct {
	id, campaign, contact, channel string
	identity                       int64
	conversation                   string // in which it is led
	subject                        string // conversation that it is about
	resolution                     int64
	arm                            int
	language                       string
	askedAt                        int64
	message                        string // the question
	delivery, outcome              string
	open                           bool
	nextAt                         int64
	asked                          int64 // a bit for each question
	state                          survey.State
}

const dialogueColumns = `id, campaign, contact, channel, identity, conversation, subject, resolution, arm, language, asked_at, message, delivery, outcome, open, next_at, asked, state`

func scanDialogue(rows *sql.Rows) (d dialogueRow, err error) {
	var open int64
	var state string
	if err := rows.Scan(&d.id, &d.campaign, &d.contact, &d.channel, &d.identity, &d.conversation, &d.subject, &d.resolution, &d.arm, &d.language, &d.askedAt,
		&d.message, &d.delivery, &d.outcome, &open, &d.nextAt, &d.asked, &state); err != nil {
		return d, err
	}
	d.open = open == 1
	return d, json.Unmarshal([]byte(state), &d.state)
}

// readDialogues reads dialogues; where is the end of the query.
func readDialogues(ctx context.Context, q querier, where string, args ...any) ([]dialogueRow, error) {
	return all(ctx, q, scanDialogue, `SELECT `+dialogueColumns+` FROM survey_dialogues `+where, args...)
}

// readDialogue reads one dialogue; nil when it is gone.
func readDialogue(ctx context.Context, q querier, id string) (*dialogueRow, error) {
	list, err := readDialogues(ctx, q, `WHERE id = ?`, id)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

func (t *txn) addDialogue(d *dialogueRow) error {
	state, err := json.Marshal(d.state)
	if err != nil {
		return err
	}
	return t.later(`INSERT INTO survey_dialogues (`+dialogueColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.id, d.campaign, d.contact, d.channel, d.identity, d.conversation, d.subject, d.resolution, d.arm, d.language, d.askedAt,
		d.message, d.delivery, d.outcome, boolInt(d.open), d.nextAt, d.asked, string(state))
}

func (t *txn) saveDialogue(d *dialogueRow) error {
	state, err := json.Marshal(d.state)
	if err != nil {
		return err
	}
	return t.later(`UPDATE survey_dialogues SET outcome = ?, hushed = ?, open = ?, next_at = ?, claimed_until = 0, asked = ?, state = ? WHERE id = ?`,
		d.outcome, boolInt(d.hushed()), boolInt(d.open), d.nextAt, d.asked, string(state), d.id)
}

// kinds of the ledger's keys.
const (
	ledgerCampaign = "campaign"
	ledgerGroup    = "group"
)

// ledgerRow is what the ledger knows of a contact, by campaign or group.
type ledgerRow struct {
	kind, name         string
	sentAt, answeredAt int64
	assignedAt         int64
	assignment         survey.Assignment
}

func (r *ledgerRow) clock() survey.Clock {
	return survey.Clock{Sent: fromMS(r.sentAt), Answered: fromMS(r.answeredAt)}
}

// selectLedger is one step in the table's key: a contact has as many rows as it
// was considered for campaigns.
const selectLedger = `SELECT kind, name, sent_at, answered_at, assigned_at, held_out, sampled, arm FROM survey_ledger WHERE contact = ?`

// askedLedger is what the ledger knows of a contact (its hash).
func askedLedger(ctx context.Context, q querier, contact string) (map[[2]string]*ledgerRow, error) {
	ledger := map[[2]string]*ledgerRow{}
	_, err := all(ctx, q, func(rows *sql.Rows) (struct{}, error) {
		r := &ledgerRow{}
		var held, sampled int64
		err := rows.Scan(&r.kind, &r.name, &r.sentAt, &r.answeredAt, &r.assignedAt, &held, &sampled, &r.assignment.Arm)
		r.assignment.HeldOut, r.assignment.Sampled = held == 1, sampled == 1
		ledger[[2]string{r.kind, r.name}] = r
		return struct{}{}, err
	}, selectLedger, contact)
	return ledger, err
}

// contactHashes makes of contacts what the ledger knows them by.
type contactHashes struct {
	mu   sync.Mutex
	salt []byte
}

// of is a contact's hash: who has the database without its salt, as a copy of the
// ledger alone, does not learn whom it speaks of. (HMAC-SHA256, its first 128 bits.)
func (h *contactHashes) of(ctx context.Context, q querier, contact string) (string, error) {
	salt, err := h.load(ctx, q)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(contact))
	return hex.EncodeToString(mac.Sum(nil)[:16]), nil
}

func (h *contactHashes) load(ctx context.Context, q querier) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.salt != nil {
		return h.salt, nil
	}
	var text string
	found, err := one(ctx, q, []any{&text}, `SELECT salt FROM survey_salt WHERE id = 1`)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoSalt
	}
	salt, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	if t, ok := q.(*txn); ok { // it may have been drawn in this very transaction
		t.afterCommit(func() { h.keep(salt) })
		return salt, nil
	}
	h.salt = salt
	return salt, nil
}

func (h *contactHashes) keep(salt []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.salt = salt
}

// errNoSalt: no campaign was ever in force, so that nothing is known of anybody.
var errNoSalt = errors.New("the store has no salt for its survey ledger yet; it is drawn with the first campaign")

// drawSalt makes the salt of a database that has none.
func drawSalt(t *txn) error {
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return err
	}
	return t.later(`INSERT INTO survey_salt (id, salt) VALUES (1, ?) ON CONFLICT DO NOTHING`, hex.EncodeToString(salt[:]))
}
