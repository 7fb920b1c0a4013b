package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// DefaultMaxMediaBytes is 100 MiB: the largest document that a platform
	// hands out by handle (WhatsApp 100 MB; Telegram 20 MB).
	DefaultMaxMediaBytes = 100 << 20

	// mediaLease outlasts the fetch of the largest attachment at 4 Mbit/s
	// (210 s) and its upload to the store.
	mediaLease = 5 * time.Minute

	// maxMediaAttempts with mediaBackoff doubling from 5 s to 15 minutes spread
	// over about an hour, which is how long a platform's link lives at least.
	maxMediaAttempts = 12
	mediaBackoff     = 5 * time.Second
	maxMediaBackoff  = 15 * time.Minute

	// maxMediaJobs bounds one lease; a bridge works on a few at a time.
	maxMediaJobs = 50

	// maxLongPoll bounds how long a request is held.
	maxLongPoll = time.Minute

	reasonExpired = "Expired"       // removed by retention
	reasonDeleted = "Deleted"       // its message was deleted
	reasonNoRef   = "NotAvailable"  // the platform gave no handle
	reasonGivenUp = "FetchFailed"   // too many attempts
	reasonTooBig  = "TooLarge"      // larger than the store takes
	reasonGone    = "NoLongerThere" // the platform does not have it any more
)

// mediaRow is a media as it is in the database.
type mediaRow struct {
	ID, Namespace, Channel string
	Kind                   message.Type
	Ref                    string
	State                  message.MediaState
	Reason                 string
	MimeType, Name         string
	Size                   int64
	SHA256                 string
	Lease                  int64
	Attempts               int
	NextAt                 int64
}

const selectMedia = `SELECT id, namespace, channel, kind, ref, state, reason, mime_type, name, size, sha256, lease, attempts, next_at FROM media `

func scanMedia(rows *sql.Rows) (m mediaRow, err error) {
	return m, rows.Scan(&m.ID, &m.Namespace, &m.Channel, &m.Kind, &m.Ref, &m.State, &m.Reason, &m.MimeType, &m.Name, &m.Size, &m.SHA256, &m.Lease, &m.Attempts, &m.NextAt)
}

func loadMedia(ctx context.Context, q querier, id string) (mediaRow, error) {
	list, err := all(ctx, q, scanMedia, selectMedia+`WHERE id = ?`, id)
	if err != nil {
		return mediaRow{}, err
	}
	if len(list) == 0 {
		return mediaRow{}, fmt.Errorf("media %s: %w", id, ErrNotFound)
	}
	return list[0], nil
}

// adopt turns a platform's attachments into kept ones: each handle becomes a
// media, and the handle itself does not stay in the message. known are the
// media that the message has already, by handle (an edit repeats them).
func (t *txn) adopt(ch *Channel, attachments []message.Attachment, known map[string]string) (kept []message.Attachment, fetch []mediaRow) {
	for _, a := range attachments {
		if a.Ref == "" && a.URL != "" { // an outside link, as it is
			kept = append(kept, a)
			continue
		}
		ref := a.Ref
		a.Ref = ""
		if id := known[ref]; id != "" {
			a.MediaID = id
			kept = append(kept, a)
			continue
		}
		a.MediaID = t.newID()
		kept = append(kept, a)
		m := mediaRow{ID: a.MediaID, Namespace: ch.Namespace, Channel: ch.Name, Kind: a.Kind, Ref: ref, State: message.MediaPending,
			MimeType: a.MimeType, Name: a.Name, Size: a.Size, NextAt: ms(t.now)}
		if ref == "" {
			m.State, m.Reason = message.MediaUnavailable, reasonNoRef
		}
		fetch = append(fetch, m)
	}
	return kept, fetch
}

// knownAttachments are the media of a message by the platform's handle.
func (t *txn) knownAttachments(tg target) (map[string]string, error) {
	if tg.content == "" {
		return nil, nil
	}
	list, err := all(background, t, scanMedia, selectMedia+`WHERE ref <> '' AND id IN (SELECT media FROM message_media WHERE message = ?)`, tg.id)
	known := make(map[string]string, len(list))
	for _, m := range list {
		known[m.Ref] = m.ID
	}
	return known, err
}

// insertMedia stores a message's media; the message must be stored already.
func (t *txn) insertMedia(messageID string, list []mediaRow) error {
	for _, m := range list {
		if err := t.later(`INSERT INTO media (id, namespace, channel, kind, ref, state, reason, mime_type, name, size, sha256, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			m.ID, m.Namespace, m.Channel, string(m.Kind), m.Ref, string(m.State), m.Reason, m.MimeType, m.Name, m.Size, m.SHA256, m.NextAt); err != nil {
			return err
		}
		if err := t.nameMedia(messageID, m.ID); err != nil {
			return err
		}
		t.wake(topicMedia)
	}
	return nil
}

func (t *txn) nameMedia(messageID, mediaID string) error {
	err := t.later(`INSERT INTO message_media (message, media) VALUES (?, ?) ON CONFLICT DO NOTHING`, messageID, mediaID)
	return err
}

// mayLink says whether an outbound message may name the media that it sends, so
// that they live as long as it does. They must be stored and of its namespace.
func (s *Store) mayLink(t *txn, namespace string, mediaIDs []string) error {
	for i, id := range mediaIDs {
		m, err := loadMedia(background, t, id)
		switch {
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		case err != nil || m.Namespace != namespace:
			return &FieldError{Field: fmt.Sprintf("attachments[%d].mediaId", i), Message: "there is no such media in this namespace"}
		case m.State != message.MediaStored:
			return &FieldError{Field: fmt.Sprintf("attachments[%d].mediaId", i), Message: fmt.Sprintf("the media is %s, it can be sent once it is stored", m.State)}
		}
	}
	return nil
}

// mediaChanged tells the event log of every message that names a media.
func (t *txn) mediaChanged(id string) error {
	list, err := all(background, t, func(rows *sql.Rows) (e Event, err error) {
		e.Type = EventMessageUpdated
		return e, rows.Scan(&e.Channel, &e.Conversation, &e.Contact, &e.MessageID)
	}, `SELECT m.channel, m.conversation, v.contact, m.id FROM message_media n JOIN messages m ON m.id = n.message JOIN conversations v ON v.id = m.conversation WHERE n.media = ?`, id)
	for _, e := range list {
		t.event(e)
	}
	return err
}

// LeaseMedia gives a bridge attachments of its channels to fetch and waits up
// to req.Wait for some.
func (s *Store) LeaseMedia(ctx context.Context, bridge string, req wire.MediaLeaseRequest) (wire.MediaLeaseResponse, error) {
	limit := min(max(req.Max, 1), maxMediaJobs)
	deadline := time.NewTimer(min(max(req.Wait, 0), maxLongPoll))
	defer deadline.Stop()
	for {
		changed := s.signals.next(topicMedia)
		jobs, next, err := s.leaseMedia(ctx, bridge, limit)
		if err != nil || len(jobs) > 0 {
			return wire.MediaLeaseResponse{Jobs: jobs}, err
		}
		due := time.NewTimer(next)
		select {
		case <-changed:
		case <-due.C:
		case <-deadline.C:
			due.Stop()
			return wire.MediaLeaseResponse{Jobs: []wire.MediaJob{}}, nil
		case <-ctx.Done():
			due.Stop()
			return wire.MediaLeaseResponse{}, ctx.Err()
		}
		due.Stop()
	}
}

// leaseMedia leases what is due, and says how long it is until something else
// will be. It takes from the bridge's channels in turn, so that one with a
// thousand pictures does not keep the others waiting.
func (s *Store) leaseMedia(ctx context.Context, bridge string, limit int) (jobs []wire.MediaJob, next time.Duration, err error) {
	channels, next, err := s.dueMedia(ctx, bridge)
	if err != nil || len(channels) == 0 {
		return nil, next, err
	}
	share := max(limit/len(channels), 1)
	err = s.write(ctx, limit, func(t *txn) error {
		jobs = nil
		for _, ch := range channels {
			n := min(share, limit-len(jobs))
			if n <= 0 {
				return nil
			}
			more, err := t.leaseMediaOf(ch, n)
			if err != nil {
				return err
			}
			jobs = append(jobs, more...)
		}
		return nil
	})
	if err != nil {
		return nil, next, err
	}
	return jobs, next, nil
}

// dueMedia lists the channels of a bridge that have something due, and the
// time until the next of the others.
func (s *Store) dueMedia(ctx context.Context, bridge string) (channels []string, next time.Duration, err error) {
	type due struct {
		channel string
		at      int64
	}
	list, err := all(ctx, s.read, func(rows *sql.Rows) (d due, err error) { return d, rows.Scan(&d.channel, &d.at) },
		`SELECT channel, MIN(next_at) FROM media WHERE state = 'pending' GROUP BY channel ORDER BY 2`)
	if err != nil {
		return nil, 0, err
	}
	st, now := s.state.Load(), s.now()
	next = maxLongPoll
	for _, d := range list {
		// A bridge has no connection to the platform of a suspended channel: what it
		// were given would be given up. Load wakes who waits when that is over.
		if ch, err := st.channelOf(bridge, d.channel); err != nil || ch.Suspended {
			continue
		}
		if at := fromMS(d.at); at.After(now) {
			next = min(next, at.Sub(now))
		} else {
			channels = append(channels, d.channel)
		}
	}
	return channels, next, nil
}

func (t *txn) leaseMediaOf(channel string, limit int) (jobs []wire.MediaJob, err error) {
	list, err := all(background, t, scanMedia, selectMedia+`WHERE channel = ? AND state = 'pending' AND next_at <= ? ORDER BY next_at, id LIMIT ?`+t.c.db.skipLocked(), channel, ms(t.now), limit)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.Attempts >= maxMediaAttempts { // the last bridge that had it never answered
			if err := t.giveUpMedia(m.ID, reasonGivenUp); err != nil {
				return nil, err
			}
			continue
		}
		job := wire.MediaJob{ID: m.ID, Channel: m.Channel, Ref: m.Ref, Kind: m.Kind}
		found, err := one(background, t, []any{&job.Lease, &job.Attempt},
			`UPDATE media SET lease = lease + 1, attempts = attempts + 1, next_at = ? WHERE id = ? AND state = 'pending' AND next_at <= ? RETURNING lease, attempts`,
			ms(t.now.Add(mediaLease)), m.ID, ms(t.now))
		if err != nil {
			return nil, err
		}
		if found {
			jobs = append(jobs, job)
		}
	}
	return jobs, nil
}

func (t *txn) giveUpMedia(id, reason string) error {
	if err := t.later(`UPDATE media SET state = 'unavailable', reason = ?, ref = '' WHERE id = ?`, reason, id); err != nil {
		return err
	}
	t.c.metrics.media.WithLabelValues("unavailable").Inc()
	return t.mediaChanged(id)
}

// leasedMedia finds a media that the bridge has leased.
func (s *Store) leasedMedia(ctx context.Context, q querier, bridge, id string, lease int64) (mediaRow, error) {
	m, err := loadMedia(ctx, q, id)
	if err != nil {
		return m, err
	}
	if _, err := s.state.Load().channelOf(bridge, m.Channel); err != nil {
		return m, err
	}
	if m.State != message.MediaPending || m.Lease != lease {
		return m, fmt.Errorf("media %s: lease %d is over: %w", id, lease, ErrConflict)
	}
	return m, nil
}

// PutMedia keeps the bytes of a leased attachment. One that is too large
// becomes unavailable and is a *FieldError. The platform's handle stays, so that
// an edit that repeats the attachment finds it; and so does what the message
// said of it where the platform says nothing.
func (s *Store) PutMedia(ctx context.Context, bridge, id string, lease int64, meta MediaMeta, body io.Reader) error {
	if _, err := s.leasedMedia(ctx, s.read, bridge, id, lease); err != nil {
		return err
	}
	file, err := s.blobs.put(body, s.opts.MaxMediaBytes)
	if errors.Is(err, errTooLarge) {
		return errors.Join(&FieldError{Field: "body", Message: fmt.Sprintf("is larger than %d bytes", s.opts.MaxMediaBytes)},
			s.ReportMedia(ctx, bridge, id, wire.MediaReport{Lease: lease, Gone: true, Reason: reasonTooBig}))
	}
	if err != nil {
		return err
	}
	defer s.blobs.unpin(file.sha256)
	return s.write(ctx, 1, func(t *txn) error {
		if _, err := s.leasedMedia(background, t, bridge, id, lease); err != nil {
			return err
		}
		if err := t.later(`UPDATE media SET state = 'stored', reason = '', mime_type = COALESCE(NULLIF(?, ''), mime_type), name = COALESCE(NULLIF(?, ''), name), size = ?, sha256 = ? WHERE id = ?`,
			cut(meta.MimeType, maxName), cut(meta.Name, maxName), file.size, file.sha256, id); err != nil {
			return err
		}
		t.c.metrics.media.WithLabelValues("stored").Inc()
		return t.mediaChanged(id)
	})
}

// ReportMedia says that an attachment was not fetched: it is tried again after
// a while, or given up.
func (s *Store) ReportMedia(ctx context.Context, bridge, id string, report wire.MediaReport) error {
	return s.write(ctx, 1, func(t *txn) error {
		m, err := s.leasedMedia(background, t, bridge, id, report.Lease)
		if err != nil {
			return err
		}
		if report.Gone || m.Attempts >= maxMediaAttempts {
			reason := or(cut(report.Reason, maxName), reasonGone)
			if !report.Gone {
				reason = reasonGivenUp
			}
			return t.giveUpMedia(id, reason)
		}
		wait := max(report.RetryAfter, mediaRetry(m.Attempts))
		err = t.later(`UPDATE media SET next_at = ? WHERE id = ?`, ms(t.now.Add(wait)), id)
		t.wake(topicMedia)
		return err
	})
}

func mediaRetry(attempts int) time.Duration {
	return min(mediaBackoff<<max(attempts-1, 0), maxMediaBackoff)
}

// UploadMedia keeps the bytes of an attachment that is going to be sent. Where
// no message names it within a day it is removed.
func (s *Store) UploadMedia(ctx context.Context, scope Scope, namespace string, meta MediaMeta, body io.Reader) (string, error) {
	if namespace == "" || clean(namespace) != namespace {
		return "", &FieldError{Field: "namespace", Message: "is required"}
	}
	if !scope.Allows(namespace) {
		return "", fmt.Errorf("namespace %s: %w", namespace, ErrNotFound)
	}
	if err := scope.Write.check(); err != nil {
		return "", err
	}
	file, err := s.blobs.put(body, s.opts.MaxMediaBytes)
	if errors.Is(err, errTooLarge) {
		return "", &FieldError{Field: "body", Message: fmt.Sprintf("is larger than %d bytes", s.opts.MaxMediaBytes)}
	}
	if err != nil {
		return "", err
	}
	defer s.blobs.unpin(file.sha256)
	var id string
	write := scope.Write
	write.Fingerprint += " " + file.sha256
	err = s.write(ctx, 1, func(t *txn) (err error) {
		var done bool
		if id, done, err = t.repeated(namespace, write); err != nil {
			return err
		}
		if done { // and it may be gone since, as no message named it
			kept, err := all(background, t, scanText, `SELECT id FROM media WHERE id = ?`, id)
			if err != nil || len(kept) > 0 {
				return err
			}
		} else {
			id = t.newID()
			if err := t.remember(namespace, write, id); err != nil {
				return err
			}
		}
		err = t.later(`INSERT INTO media (id, namespace, state, mime_type, name, size, sha256) VALUES (?, ?, 'stored', ?, ?, ?, ?)`,
			id, namespace, cut(meta.MimeType, maxName), cut(meta.Name, maxName), file.size, file.sha256)
		return err
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// OpenMedia opens the bytes of a media within the scope. The caller closes it.
func (s *Store) OpenMedia(ctx context.Context, scope Scope, id string) (MediaMeta, io.ReadCloser, error) {
	m, err := loadMedia(ctx, s.read, id)
	if err != nil {
		return MediaMeta{}, nil, err
	}
	if !scope.Allows(m.Namespace) {
		return MediaMeta{}, nil, fmt.Errorf("media %s: %w", id, ErrNotFound)
	}
	return s.openMedia(m)
}

// OpenMediaForBridge opens an attachment that a message of one of the Bridge's
// channels sends. The caller closes it.
func (s *Store) OpenMediaForBridge(ctx context.Context, bridge, id string) (MediaMeta, io.ReadCloser, error) {
	channels, err := all(ctx, s.read, scanText, `SELECT DISTINCT m.channel FROM message_media n JOIN messages m ON m.id = n.message WHERE n.media = ? AND m.direction = 'outbound'`, id)
	if err != nil {
		return MediaMeta{}, nil, err
	}
	st := s.state.Load()
	for _, ch := range channels {
		if _, err := st.channelOf(bridge, ch); err != nil {
			continue
		}
		m, err := loadMedia(ctx, s.read, id)
		if err != nil {
			return MediaMeta{}, nil, err
		}
		return s.openMedia(m)
	}
	return MediaMeta{}, nil, fmt.Errorf("media %s: %w", id, ErrNotFound)
}

func (s *Store) openMedia(m mediaRow) (MediaMeta, io.ReadCloser, error) {
	if m.State != message.MediaStored {
		return MediaMeta{}, nil, fmt.Errorf("media %s is %s: %w", m.ID, m.State, ErrNotFound)
	}
	f, err := s.blobs.read(m.SHA256)
	if err != nil {
		return MediaMeta{}, nil, err
	}
	return MediaMeta{MimeType: m.MimeType, Name: m.Name, Size: m.Size}, f, nil
}
