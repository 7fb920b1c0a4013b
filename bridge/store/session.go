package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// sessionTTL is how long a silent bridge process keeps its channels. It
	// renews every third of it (2 s) and stops by itself a third after a renewal
	// that was due and failed, so that two seconds are left between the stop and
	// the takeover; both are within seconds.
	sessionTTL = 6 * time.Second

	// renewNotBefore is the age below which a renewal is not worth a write: half
	// the time between two renewals.
	renewNotBefore = sessionTTL / 6

	// instanceMax bounds the name of a process (a pod's name and a random suffix).
	instanceMax = 255
)

// Session opens, renews or closes the session of a bridge process and says
// which channels it has. Rows of channels are written only when their holder
// changes; a renewal writes the session's own expiry and nothing else.
func (s *Store) Session(ctx context.Context, bridge string, req wire.SessionRequest) (wire.SessionResponse, error) {
	if req.Instance == "" || len(req.Instance) > instanceMax {
		return wire.SessionResponse{}, &FieldError{Field: "instance", Message: fmt.Sprintf("must name the process, in at most %d bytes", instanceMax)}
	}
	revision, fresh, err := s.fresh(ctx, bridge, req)
	if err == nil && !fresh {
		renew := func(t *txn) (err error) {
			revision, err = s.renew(t, bridge, req)
			return err
		}
		if err = s.writeLocked(ctx, 1, newLocks().session(bridge), renew); errors.Is(err, errNotAlone) {
			err = s.writeLocked(ctx, 1, everythingLocked(), renew)
		}
	}
	if err == nil {
		err = s.acceptChannels(ctx, bridge, req.Accepted)
	}
	if err != nil {
		return wire.SessionResponse{}, err
	}
	resp := wire.SessionResponse{TTL: sessionTTL, Revision: revision, Changed: revision != req.Revision && !req.Close}
	if req.Close {
		return resp, nil
	}
	if resp.Refused, err = s.refusedChannels(ctx, bridge, req.Instance); err != nil || !resp.Changed {
		return resp, err
	}
	resp.Assignments, resp.Revision, err = s.assignments(ctx, bridge, req.Instance)
	return resp, err
}

// errNotAlone says that a renewal has to move channels or lanes, for which it
// must be alone. It has done nothing.
var errNotAlone = errors.New("channels have to move")

// fresh answers a renewal without a write when the one before was a moment ago.
func (s *Store) fresh(ctx context.Context, bridge string, req wire.SessionRequest) (revision int64, fresh bool, err error) {
	if req.Close {
		return 0, false, nil
	}
	var expires int64
	found, err := one(ctx, s.read, []any{&expires, &revision}, `SELECT expires_at, revision FROM sessions WHERE bridge = ? AND instance = ?`, bridge, req.Instance)
	renewed := fromMS(expires).Add(-sessionTTL)
	return revision, found && s.now().Sub(renewed) < renewNotBefore, err
}

// session is a bridge process as it is in the database.
type session struct {
	bridge, instance string
	expires          int64
	revision         int64
}

// key is what assignments name a session by. Instances choose their names, so
// only with its Bridge (which has no '|') is a name one session's.
func (x session) key() string { return x.bridge + "|" + x.instance }

const sessionColumns = `bridge, instance, expires_at, revision`

func scanSession(rows *sql.Rows) (x session, err error) {
	return x, rows.Scan(&x.bridge, &x.instance, &x.expires, &x.revision)
}

// dead says that a session has not been renewed in time. Right after the store
// has started, or the database is back, nobody had a chance to: taking all channels from all processes
// because the store was away would only make them wander.
func (s *Store) dead(x session, now time.Time) bool {
	since := s.outbox.opened
	if failed := fromMS(s.commit.failedAt.Load()); failed.After(since) {
		since = failed
	}
	if since.Sub(now) > sessionTTL { // the clock was ahead then; endWaits gave everybody their time
		since = time.Time{}
	}
	return now.After(fromMS(x.expires)) && now.After(since.Add(sessionTTL))
}

// renew opens, renews or closes a session. Whoever notices that another one is
// dead, or is new, spreads the channels anew.
func (s *Store) renew(t *txn, bridge string, req wire.SessionRequest) (revision int64, err error) {
	all, err := all(background, t, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE bridge = ? ORDER BY instance`, bridge)
	if err != nil {
		return 0, err
	}
	known := false
	for _, x := range all {
		known = known || x.instance == req.Instance
	}
	moves := !known || req.Close || slices.ContainsFunc(all, func(x session) bool { return x.instance != req.Instance && s.dead(x, t.now) })
	if moves && !t.alone() {
		return 0, errNotAlone
	}
	live, ended := make([]string, 0, len(all)+1), make([]string, 0)
	for _, x := range all {
		own := x.instance == req.Instance
		if own && req.Close || !own && s.dead(x, t.now) {
			if err := s.endSession(t, x); err != nil {
				return 0, err
			}
			ended = append(ended, x.key())
			continue
		}
		live = append(live, x.key())
	}
	if !req.Close {
		// The first revision is the clock's, so that a process that comes back after
		// its session ended does not meet a revision that it knows.
		if _, err := t.exec(`INSERT INTO sessions (bridge, instance, expires_at, revision) VALUES (?, ?, ?, ?)
			ON CONFLICT (bridge, instance) DO UPDATE SET expires_at = excluded.expires_at`, bridge, req.Instance, ms(t.now.Add(sessionTTL)), ms(t.now)); err != nil {
			return 0, err
		}
		if !known {
			live = append(live, session{bridge: bridge, instance: req.Instance}.key())
			slices.Sort(live)
		}
	}
	if len(ended) > 0 || !req.Close && !known {
		if err := s.reassign(t, bridge, live, ended); err != nil {
			return 0, err
		}
	}
	_, err = one(background, t, []any{&revision}, `SELECT revision FROM sessions WHERE bridge = ? AND instance = ?`, bridge, req.Instance)
	return revision, err
}

// endSession removes a session, and takes back the lanes that its process
// leased and has not begun to send from: should it still live, its report that
// it begins is refused.
func (s *Store) endSession(t *txn, x session) error {
	if _, err := t.exec(`DELETE FROM sessions WHERE bridge = ? AND instance = ?`, x.bridge, x.instance); err != nil {
		return err
	}
	lanes, err := all(background, t, scanLane, `SELECT `+laneColumns+` FROM lanes l WHERE lease_until > 0 AND lease_bridge = ? AND lease_instance = ?
		AND NOT EXISTS (SELECT 1 FROM delivery_parts p WHERE p.message = l.lease_delivery AND p.state = 'sending')`, x.bridge, x.instance)
	if err != nil {
		return err
	}
	b := s.newLedger(t)
	for i := range lanes {
		b.endTurn(b.lane(&lanes[i]), 0, true)
	}
	return b.save()
}

// assignments are the channels of a session, with the revision they belong to.
func (s *Store) assignments(ctx context.Context, bridge, instance string) ([]wire.Assignment, int64, error) {
	st := s.state.Load()
	// The revision is read first: should the channels change in between, the
	// caller hears of it at the next renewal, and never misses it.
	var revision int64
	if _, err := one(ctx, s.read, []any{&revision}, `SELECT revision FROM sessions WHERE bridge = ? AND instance = ?`, bridge, instance); err != nil {
		return nil, 0, err
	}
	list, err := all(ctx, s.read, func(rows *sql.Rows) (a wire.Assignment, err error) {
		return a, rows.Scan(&a.Channel, &a.Token, &a.Cursor)
	}, `SELECT channel, token, cursor FROM assignments WHERE session = ? ORDER BY channel`, session{bridge: bridge, instance: instance}.key())
	known := slices.DeleteFunc(slices.Clone(list), func(a wire.Assignment) bool {
		_, err := st.channelOf(bridge, a.Channel)
		return err != nil
	})
	if len(known) < len(list) {
		// Another replica has a document that this one has not loaded yet. What it
		// gave out is no news any more when this one knows it, so the caller has to
		// ask for all again until then.
		revision--
	}
	return known, revision, err
}

// assignment is a channel's row as it is in the database.
type assignment struct {
	channel string
	session string // session.key, '' when nobody has it
	account string
}

func (t *txn) allAssignments() (map[string]assignment, error) {
	list, err := all(background, t, func(rows *sql.Rows) (a assignment, err error) {
		return a, rows.Scan(&a.channel, &a.session, &a.account)
	}, `SELECT channel, session, account FROM assignments`)
	rows := make(map[string]assignment, len(list))
	for _, a := range list {
		rows[a.channel] = a
	}
	return rows, err
}

// reassign spreads a Bridge's channels over its live sessions, or frees those
// of the ended ones where nobody is left.
func (s *Store) reassign(t *txn, bridge string, live, ended []string) error {
	if len(live) == 0 {
		return t.freeChannels(ended)
	}
	rows, err := t.allAssignments()
	if err != nil {
		return err
	}
	touched := map[string]bool{}
	if err := s.spread(t, s.state.Load(), rows, bridge, live, touched); err != nil {
		return err
	}
	return t.bumpRevisions(touched)
}

// freeChannels takes the channels of sessions away, and fences them.
func (t *txn) freeChannels(sessions []string) error {
	for _, key := range sessions {
		if _, err := t.exec(`UPDATE assignments SET session = '', token = token + 1 WHERE session = ?`, key); err != nil {
			return err
		}
	}
	return nil
}

// reassignAll does so for every Bridge after a new document, and takes channels
// away from sessions of Bridges that they left.
func (s *Store) reassignAll(t *txn, st *state) error {
	sessions, err := all(background, t, scanSession, `SELECT `+sessionColumns+` FROM sessions ORDER BY bridge, instance`)
	if err != nil || len(sessions) == 0 {
		return err
	}
	rows, err := t.allAssignments()
	if err != nil {
		return err
	}
	touched, live, bridgeOf := map[string]bool{}, map[string][]string{}, map[string]string{}
	for _, x := range sessions {
		live[x.bridge] = append(live[x.bridge], x.key())
		bridgeOf[x.key()] = x.bridge
	}
	for name, row := range rows {
		ch := st.channel(name)
		stays := ch == nil && !st.gone(name) || ch != nil && ch.Bridge == bridgeOf[row.session]
		if row.session == "" || stays {
			continue
		}
		touched[row.session] = true
		row.session = ""
		rows[name] = row
		if _, err := t.exec(`UPDATE assignments SET session = '', token = token + 1 WHERE channel = ?`, name); err != nil {
			return err
		}
	}
	for bridge, instances := range live {
		if err := s.spread(t, st, rows, bridge, instances, touched); err != nil {
			return err
		}
	}
	return t.bumpRevisions(touched)
}

// spread writes the holders that change, each with a new token, so that who had
// the channel before is fenced from this moment. touched collects the sessions
// that win or lose something.
func (s *Store) spread(t *txn, st *state, rows map[string]assignment, bridge string, live []string, touched map[string]bool) error {
	var current []holding
	for name, ch := range st.channels {
		if ch.Bridge == bridge {
			current = append(current, holding{Channel: name, Holder: rows[name].session})
		}
	}
	slices.SortFunc(current, func(a, b holding) int { return cmp.Compare(a.Channel, b.Channel) })
	for _, h := range assignChannels(current, live) {
		before := rows[h.Channel]
		if before.session != "" {
			touched[before.session] = true
		}
		touched[h.Holder] = true
		if err := t.assign(st.channel(h.Channel), before, h.Holder); err != nil {
			return err
		}
	}
	return nil
}

// assign gives a channel to a session. The cursor stays, unless the channel's
// name stands for another account by now.
func (t *txn) assign(ch *Channel, before assignment, session string) error {
	account := ch.Platform + ":" + ch.Account
	if _, err := t.exec(`INSERT INTO assignments (channel, session, token, account) VALUES (?, ?, 1, ?)
		ON CONFLICT (channel) DO UPDATE SET session = excluded.session, token = assignments.token + 1, account = excluded.account`,
		ch.Name, session, account); err != nil {
		return err
	}
	if before.account == "" || before.account == account {
		return nil
	}
	_, err := t.exec(`UPDATE assignments SET cursor = '' WHERE channel = ?`, ch.Name)
	return err
}

func (t *txn) bumpRevisions(sessions map[string]bool) error {
	for key := range sessions {
		bridge, instance, _ := strings.Cut(key, "|")
		if _, err := t.exec(`UPDATE sessions SET revision = revision + 1 WHERE bridge = ? AND instance = ?`, bridge, instance); err != nil {
			return err
		}
	}
	return nil
}

// runSessions ends dead sessions where no other session of the Bridge is there
// to notice.
func (s *Store) runSessions(ctx context.Context) {
	tick := time.NewTicker(sessionTTL)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.endDeadSessions(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("dead sessions could not be ended; tried again", "err", err, "after", sessionTTL)
		}
	}
}

func (s *Store) endDeadSessions(ctx context.Context) error {
	var oldest int64
	found, err := one(ctx, s.read, []any{&oldest}, `SELECT expires_at FROM sessions ORDER BY expires_at LIMIT 1`)
	if err != nil || !found || !s.dead(session{expires: oldest}, s.now()) {
		return err
	}
	return s.writeLocked(ctx, 1, everythingLocked(), func(t *txn) error {
		sessions, err := all(background, t, scanSession, `SELECT `+sessionColumns+` FROM sessions ORDER BY bridge, instance`)
		if err != nil {
			return err
		}
		live, ended := map[string][]string{}, map[string][]string{}
		for _, x := range sessions {
			if !s.dead(x, t.now) {
				live[x.bridge] = append(live[x.bridge], x.key())
				continue
			}
			ended[x.bridge] = append(ended[x.bridge], x.key())
			if err := s.endSession(t, x); err != nil {
				return err
			}
		}
		for bridge := range ended {
			if err := s.reassign(t, bridge, live[bridge], ended[bridge]); err != nil {
				return err
			}
		}
		return nil
	})
}
