package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// chunks is a body of n bytes.
func chunks(n int) io.Reader { return bytes.NewReader(bytes.Repeat([]byte("x"), n)) }

func picture(id, ref string) message.Event {
	ev := text(id, "")
	ev.Message.Type = message.TypeImage
	ev.Message.Attachments = []message.Attachment{{Kind: message.TypeImage, Ref: ref, MimeType: "image/jpeg", Name: "a.jpg", Caption: "look"}}
	return ev
}

func leaseOne(t *testing.T, s *Store) wire.MediaJob {
	t.Helper()
	resp, err := s.LeaseMedia(t.Context(), shopBridge, wire.MediaLeaseRequest{Max: 5})
	require.NoError(t, err)
	require.Len(t, resp.Jobs, 1)
	return resp.Jobs[0]
}

func noJobs(t *testing.T, s *Store, bridge string) {
	t.Helper()
	resp, err := s.LeaseMedia(t.Context(), bridge, wire.MediaLeaseRequest{Max: 5})
	require.NoError(t, err)
	require.Empty(t, resp.Jobs)
}

func readMedia(t *testing.T, s *Store, id string) string {
	t.Helper()
	_, body, err := s.OpenMedia(t.Context(), everything, id)
	require.NoError(t, err)
	defer body.Close()
	raw, err := io.ReadAll(body)
	require.NoError(t, err)
	return string(raw)
}

func mediaFileCount(t *testing.T, s *Store) (n int) {
	t.Helper()
	if s.media == nil {
		return count(t, s, "media_files WHERE sha256 <> ''")
	}
	require.NoError(t, filepath.Walk(s.media.dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func TestAttachmentIsFetchedOnceAndShown(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, picture("m1", "file-1"))
	a := getMessage(t, s, id).Attachments[0]
	require.Equal(t, message.MediaPending, a.State)
	require.Empty(t, a.Ref, "the platform's handle is not shown")
	require.Equal(t, "look", a.Caption)
	_, cursor := eventsAfter(t, s, 0)

	noJobs(t, s, otherBridge)
	job := leaseOne(t, s)
	require.Equal(t, wire.MediaJob{ID: a.MediaID, Channel: telegram, Ref: "file-1", Kind: message.TypeImage, Lease: 1, Attempt: 1}, job)
	noJobs(t, s, shopBridge)

	require.ErrorIs(t, s.PutMedia(t.Context(), otherBridge, job.ID, job.Lease, MediaMeta{}, chunks(5)), ErrForbidden)
	require.ErrorIs(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease+1, MediaMeta{}, chunks(5)), ErrConflict)
	require.NoError(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease, MediaMeta{MimeType: "image/png"}, chunks(5)))
	require.ErrorIs(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease, MediaMeta{}, chunks(5)), ErrConflict)

	a = getMessage(t, s, id).Attachments[0]
	require.Equal(t, message.MediaStored, a.State)
	require.Equal(t, "image/png", a.MimeType)
	require.Equal(t, "a.jpg", a.Name)
	require.EqualValues(t, 5, a.Size)
	require.Equal(t, "xxxxx", readMedia(t, s, job.ID))
	events, _ := eventsAfter(t, s, cursor)
	require.Equal(t, []EventType{EventMessageUpdated}, eventTypes(events))
	require.Equal(t, id, events[0].MessageID)

	_, _, err := s.OpenMedia(t.Context(), Scope{Namespaces: []string{"other"}}, job.ID)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestSameBytesAreKeptOnce(t *testing.T) {
	s, _ := testStore(t)
	var ids []string
	for range 3 {
		id, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{Name: "logo.png"}, strings.NewReader("same"))
		require.NoError(t, err)
		ids = append(ids, id)
	}
	require.NotEqual(t, ids[0], ids[1])
	require.Equal(t, 1, mediaFileCount(t, s))
	require.Equal(t, "same", readMedia(t, s, ids[2]))
}

func TestLostLeaseGoesToAnother(t *testing.T) {
	s, c := testStore(t)
	stored(t, s, telegram, picture("m1", "file-1"))
	lost := leaseOne(t, s)
	c.advance(mediaLease)
	again := leaseOne(t, s)
	require.Equal(t, lost.Lease+1, again.Lease)
	require.Equal(t, 2, again.Attempt)
	require.ErrorIs(t, s.PutMedia(t.Context(), shopBridge, lost.ID, lost.Lease, MediaMeta{}, chunks(1)), ErrConflict)
	require.NoError(t, s.PutMedia(t.Context(), shopBridge, again.ID, again.Lease, MediaMeta{}, chunks(1)))
}

func TestFailedFetchIsTriedAgainThenGivenUp(t *testing.T) {
	s, c := testStore(t)
	id := stored(t, s, telegram, picture("m1", "file-1"))
	for attempt := 1; ; attempt++ {
		job := leaseOne(t, s)
		require.Equal(t, attempt, job.Attempt)
		require.NoError(t, s.ReportMedia(t.Context(), shopBridge, job.ID, wire.MediaReport{Lease: job.Lease, Reason: "platform is down"}))
		if attempt == maxMediaAttempts {
			break
		}
		noJobs(t, s, shopBridge)
		c.advance(mediaRetry(attempt))
	}
	a := getMessage(t, s, id).Attachments[0]
	require.Equal(t, message.MediaUnavailable, a.State)
	require.Equal(t, reasonGivenUp, a.Reason)
}

func TestGoneAttachmentIsUnavailableAtOnce(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, picture("m1", "file-1"))
	job := leaseOne(t, s)
	require.NoError(t, s.ReportMedia(t.Context(), shopBridge, job.ID, wire.MediaReport{Lease: job.Lease, Gone: true, Reason: "LinkExpired"}))
	a := getMessage(t, s, id).Attachments[0]
	require.Equal(t, message.MediaUnavailable, a.State)
	require.Equal(t, "LinkExpired", a.Reason)
	_, _, err := s.OpenMedia(t.Context(), everything, job.ID)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestTooLargeAttachmentIsUnavailable(t *testing.T) {
	c := &clock{now: testTime}
	s := openTestStore(t, Options{Dir: t.TempDir(), Now: c.Now, MaxMediaBytes: 10})
	require.Empty(t, s.Load(t.Context(), testDocument(t, testEntries(t)...)))
	id := stored(t, s, telegram, picture("m1", "file-1"))
	job := leaseOne(t, s)
	var fe *FieldError
	require.ErrorAs(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease, MediaMeta{}, chunks(11)), &fe)
	require.Equal(t, reasonTooBig, getMessage(t, s, id).Attachments[0].Reason)
	_, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, chunks(11))
	require.ErrorAs(t, err, &fe)
	_, err = s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, chunks(10))
	require.NoError(t, err)
	require.Equal(t, 1, mediaFileCount(t, s), "nothing of what was refused stays")
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the client hung up") }

func TestInterruptedUploadLeavesNothing(t *testing.T) {
	s, _ := testStore(t)
	_, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, io.MultiReader(chunks(100), brokenReader{}))
	require.ErrorContains(t, err, "hung up")
	require.NotErrorIs(t, err, ErrUnavailable, "it is not the store's fault")
	require.Zero(t, mediaFileCount(t, s))
	require.Zero(t, count(t, s, "media"))
}

func TestLeaseMediaWaitsForWork(t *testing.T) {
	s, _ := testStore(t)
	got := make(chan wire.MediaLeaseResponse, 1)
	go func() {
		resp, _ := s.LeaseMedia(context.Background(), shopBridge, wire.MediaLeaseRequest{Max: 5, Wait: 30 * time.Second})
		got <- resp
	}()
	stored(t, s, telegram, picture("m1", "file-1"))
	select {
	case resp := <-got:
		require.Len(t, resp.Jobs, 1)
	case <-time.After(time.Minute):
		t.Fatal("the waiting bridge was not told")
	}
}

func TestChannelsTakeTurns(t *testing.T) {
	s, _ := testStore(t)
	for i := range 10 {
		stored(t, s, telegram, picture(numbered("m", i), numbered("f", i)))
	}
	stored(t, s, whatsapp, picture("w1", "wf"))
	resp, err := s.LeaseMedia(t.Context(), shopBridge, wire.MediaLeaseRequest{Max: 4})
	require.NoError(t, err)
	channels := map[string]int{}
	for _, j := range resp.Jobs {
		channels[j.Channel]++
	}
	require.Equal(t, 1, channels[whatsapp], "the one picture does not wait for the ten")
}

func TestEditOfACaptionDoesNotFetchAgain(t *testing.T) {
	s, _ := testStore(t)
	id := stored(t, s, telegram, picture("m1", "file-1"))
	before := getMessage(t, s, id).Attachments[0].MediaID
	edit := picture("u2", "file-1")
	edit.Message.Type, edit.Message.Target = message.TypeEdit, "m1"
	edit.Message.Attachments[0].Caption = "look here"
	ingest(t, s, telegram, edit)
	a := getMessage(t, s, id).Attachments[0]
	require.Equal(t, before, a.MediaID)
	require.Equal(t, "look here", a.Caption)
	require.Equal(t, 1, count(t, s, "media"))
}

func TestMediaRetention(t *testing.T) {
	s, c := testStore(t)
	doc := testDocument(t, testEntries(t)...)
	doc.Settings = []byte(`{"retention":{"media":"48h"},"reopenWindow":"1h"}`)
	require.Empty(t, s.Load(t.Context(), doc))
	id := stored(t, s, telegram, picture("m1", "file-1"))
	job := leaseOne(t, s)
	require.NoError(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease, MediaMeta{}, strings.NewReader("fetched")))
	unnamed, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{}, strings.NewReader("forgotten"))
	require.NoError(t, err)

	w := sweeper{s: s}
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, 2, mediaFileCount(t, s))
	c.advance(unnamedFor + time.Second)
	require.NoError(t, w.sweep(t.Context()))
	_, _, err = s.OpenMedia(t.Context(), everything, unnamed)
	require.ErrorIs(t, err, ErrNotFound, "an upload that no message names goes after a day")
	require.Equal(t, "fetched", readMedia(t, s, job.ID))
	require.Equal(t, 1, mediaFileCount(t, s))

	c.advance(24 * time.Hour)
	require.NoError(t, w.sweep(t.Context()))
	require.Equal(t, reasonExpired, getMessage(t, s, id).Attachments[0].Reason)
	require.Zero(t, mediaFileCount(t, s))
}

func TestFateOf(t *testing.T) {
	const retention, unnamed = "5", "8"
	for _, tc := range []struct {
		id    string
		state message.MediaState
		named bool
		want  mediaFate
	}{
		{"9", message.MediaStored, false, mediaStays},
		{"7", message.MediaStored, false, mediaGoes},
		{"7", message.MediaStored, true, mediaStays},
		{"4", message.MediaStored, true, mediaExpires},
		{"4", message.MediaPending, true, mediaExpires},
		{"4", message.MediaUnavailable, true, mediaStays},
	} {
		require.Equal(t, tc.want, fateOf(mediaRow{ID: tc.id, State: tc.state}, tc.named, retention, unnamed), tc)
	}
	require.Equal(t, mediaStays, fateOf(mediaRow{ID: "0", State: message.MediaStored}, true, "", unnamed), "kept for ever")
}

func TestGarbageOfACrashIsSwept(t *testing.T) {
	sqliteOnly(t)
	s, _ := testStore(t)
	file, err := s.media.put(strings.NewReader("written, never named"), 100)
	require.NoError(t, err)
	w := sweeper{s: s}
	round := func() {
		for range 256 {
			require.NoError(t, w.mediaFiles(t.Context(), document.Retention{}))
		}
	}
	round()
	require.Equal(t, 1, mediaFileCount(t, s), "somebody is about to name it")
	s.media.unpin(file.sha256)
	round()
	require.Zero(t, mediaFileCount(t, s))
}

func TestOpenMediaForBridge(t *testing.T) {
	s, _ := testStore(t)
	conv := getMessage(t, s, stored(t, s, telegram, text("m1", "x"))).Conversation
	id, err := s.UploadMedia(t.Context(), everything, "shop", MediaMeta{Name: "a.png"}, strings.NewReader("pixels"))
	require.NoError(t, err)
	_, _, err = s.OpenMediaForBridge(t.Context(), shopBridge, id)
	require.ErrorIs(t, err, ErrNotFound, "no message sends it")
	require.NoError(t, s.write(t.Context(), 1, func(tx *txn) error {
		row := messageRow{ID: tx.newID(), Channel: telegram, Conversation: conv, Direction: message.Outbound, Type: message.TypeImage, Timestamp: tx.now, Status: message.StatusQueued}
		if err := tx.insertMessage(row); err != nil {
			return err
		}
		return tx.nameMedia(row.ID, id)
	}))
	meta, body, err := s.OpenMediaForBridge(t.Context(), shopBridge, id)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.Equal(t, MediaMeta{Name: "a.png", Size: 6}, meta)
	_, _, err = s.OpenMediaForBridge(t.Context(), otherBridge, id)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestASuspendedChannelsAttachmentsWait(t *testing.T) {
	s, c := testStore(t)
	stored(t, s, telegram, picture("m1", "file-1"))
	load := func(suspended bool) {
		entries := testEntries(t)
		entries[2] = entry(t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, Suspended: suspended})
		require.Empty(t, s.Load(t.Context(), testDocument(t, entries...)))
	}
	load(true)
	for range maxMediaAttempts + 1 {
		noJobs(t, s, shopBridge)
		c.advance(maxMediaBackoff)
	}
	load(false)
	require.Equal(t, 1, leaseOne(t, s).Attempt, "no attempt was wasted")
}

func TestAnEditDoesNotFetchAgainWhatIsStored(t *testing.T) {
	s := newBox(t, testCaps).Store
	id := stored(t, s, telegram, picture("m1", "file-1"))
	job := leaseOne(t, s)
	require.NoError(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease, MediaMeta{}, chunks(5)))
	edit := picture("u2", "file-1")
	edit.Message.Type, edit.Message.Target, edit.Message.Timestamp = message.TypeEdit, "m1", testTime.Add(time.Second)
	edit.Message.Attachments[0].Caption = "look again"
	require.Equal(t, wire.ResultStored, ingest(t, s, telegram, edit)[0].Result)
	a := getMessage(t, s, id).Attachments[0]
	require.Equal(t, "look again", a.Caption)
	require.Equal(t, job.ID, a.MediaID)
	require.Equal(t, message.MediaStored, a.State)
	noJobs(t, s, shopBridge)

	conversation := getMessage(t, s, id).Conversation
	_, err := s.Send(t.Context(), everything, conversation, SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeImage, Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: job.ID}}})
	require.NoError(t, err)
	ingest(t, s, telegram, deletionOf("m1", "u3"))
	require.Equal(t, 1, count(t, s, "media"), "a message that was sent names it too")
	require.Zero(t, count(t, s, "media WHERE ref <> ''"), "nothing leads back to what was deleted")
}

func TestWhatThePlatformDoesNotSayOfAnAttachmentStays(t *testing.T) {
	s, _ := testStore(t)
	stored(t, s, telegram, picture("m1", "file-1"))
	job := leaseOne(t, s)
	require.NoError(t, s.PutMedia(t.Context(), shopBridge, job.ID, job.Lease, MediaMeta{}, chunks(5)))
	meta, body, err := s.OpenMedia(t.Context(), everything, job.ID)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.Equal(t, "image/jpeg", meta.MimeType)
	require.Equal(t, "a.jpg", meta.Name)
}
