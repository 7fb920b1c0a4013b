package store

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// restored opens what a backup of the box is restored to, as the box's twin.
func (b *box) restored() (*box, BackupSummary) {
	b.t.Helper()
	var archive bytes.Buffer
	_, err := b.Backup(b.t.Context(), &archive)
	require.NoError(b.t, err)
	dir := b.t.TempDir()
	summary, err := Restore(b.t.Context(), dir, &archive)
	require.NoError(b.t, err)
	require.NoFileExists(b.t, filepath.Join(dir, sqliteFile+"-wal"))
	s := openTestStore(b.t, Options{Dir: dir, Now: b.clock.Now, Capabilities: map[string]platform.Capabilities{"telegram": testCaps}})
	twin := &box{Store: s, t: b.t, clock: b.clock}
	twin.load()
	return twin, summary
}

// The store that a backup is of goes on and sends what waited then. The restored
// one must not send it a second time, whatever state it was in, until a person
// says so.
func TestWhatWaitedAtTheBackupIsNotSentAgain(t *testing.T) {
	sqliteOnly(t)
	for _, policy := range []UnknownPolicy{UnknownResend, UnknownSkip} {
		t.Run(string(policy), func(t *testing.T) {
			b := newBox(t, testCaps)
			done := b.send(b.met(telegram, "done"), "sent")
			b.sent(b.leaseOne())
			failed := b.send(b.met(telegram, "failed"), "no")
			b.die(b.leaseOne(), 0, wire.OutcomeFailed, wire.ErrContentRejected)
			held := b.send(b.met(telegram, "held"), "one two three four")
			b.die(b.leaseOne(), 0, wire.OutcomeUnknown, "")
			sending := b.send(b.met(telegram, "sending"), "one two three four five six")
			leased := b.leaseOne()
			b.report(of(leased, 0, wire.OutcomeSending), of(leased, 0, wire.OutcomeSent), of(leased, 1, wire.OutcomeSending))
			queued := b.send(b.met(telegram, "queued"), "hello")

			r, summary := b.restored()
			require.Equal(t, 2, summary.Unknown, "queued and sending; held was a dead letter before")
			require.Empty(t, r.lease(10))
			r.clock.advance(2 * leaseFor)
			require.NoError(t, r.expireLeases(t.Context()))
			require.Empty(t, r.lease(10), "also not once the leases of the old store are over")
			r.report(of(leased, 1, wire.OutcomeReleased))
			require.Empty(t, r.lease(10), "nor by the word of a bridge that had it from the old store")

			r.wantStatus(done, message.StatusSent, "")
			r.wantStatus(failed, message.StatusFailed, "ContentRejected")
			for id, requeued := range map[string][]int{queued: {0}, sending: {1, 2}, held: {0, 1}} {
				r.wantStatus(id, message.StatusUnknown, "Restored: ")
				_, err := r.Requeue(t.Context(), everything, id, UnknownRefuse)
				require.ErrorContains(t, err, "never learnt")
				_, err = r.Requeue(t.Context(), everything, id, policy)
				require.NoError(t, err)
				if policy == UnknownSkip {
					require.Empty(t, r.lease(10), "skip takes all of it as sent")
				} else {
					d := r.leaseOne()
					require.Equal(t, requeued, indexes(d))
					r.sent(d)
				}
				r.wantStatus(id, message.StatusSent, "")
			}
			fresh := r.send(getMessage(t, r.Store, queued).Conversation, "new")
			r.sent(r.leaseOne())
			r.wantStatus(fresh, message.StatusSent, "")
		})
	}
}

// blocking puts something in the way of the database once the archive was read.
type blocking struct {
	io.Reader
	dir string
}

func (b blocking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		if err := os.MkdirAll(filepath.Join(b.dir, sqliteFile, "in the way"), 0o700); err != nil {
			return 0, err
		}
	}
	return n, err
}

// What fails when the attachments are in place already leaves no folder that a
// store would take for its own.
func TestRestoreThatFailsAtItsEndLeavesNothing(t *testing.T) {
	sqliteOnly(t)
	archive, message, _ := backedUp(t)
	dir := t.TempDir()
	_, err := Restore(t.Context(), dir, blocking{bytes.NewReader(archive), dir})
	require.ErrorContains(t, err, "rename")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Equal(t, lockFile, left[0].Name())
	_, err = Restore(t.Context(), dir, bytes.NewReader(archive))
	require.NoError(t, err)
	getMessage(t, openTestStore(t, Options{Dir: dir}), message)
}

// A reader that was off during the restore has a cursor of the old store. Events
// that this one writes must not come to stand behind it unseen.
func TestCursorsOfBeforeARestoreAreGone(t *testing.T) {
	sqliteOnly(t)
	b := newBox(t, testCaps)
	b.met(telegram, "c1")
	_, atBackup := eventsAfter(t, b.Store, 0)
	r, _ := b.restored()
	b.met(telegram, "c2")
	_, since := eventsAfter(t, b.Store, atBackup)
	require.Greater(t, since, atBackup)
	for i := range 3 * int(since-atBackup) {
		r.met(telegram, fmt.Sprint("after ", i))
	}
	for _, cursor := range []int64{atBackup, since} {
		_, _, err := r.Events(t.Context(), everything, cursor, 10)
		require.ErrorIs(t, err, ErrGone)
	}
	list, _, err := r.Events(t.Context(), everything, EventsOldest, 500)
	require.NoError(t, err)
	require.NotEmpty(t, list, "what came after the restore is there for all")
	page, err := r.Messages(t.Context(), everything, MessageQuery{Channel: telegram})
	require.NoError(t, err)
	require.NotEmpty(t, page, "and nothing of before is lost")
}
