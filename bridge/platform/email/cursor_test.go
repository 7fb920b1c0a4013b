package email

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCursor(t *testing.T) {
	at := time.Unix(1_795_000_000, 0)
	for text, want := range map[string]cursor{
		"5:7":                   {validity: 5, uid: 7},
		"5:0:1795000000":        {validity: 5, at: at},
		"4294967295:4294967295": {validity: 1<<32 - 1, uid: 1<<32 - 1},
		"5:7:1795000000:0123456789abcdef:deadbeef:m9.1795000000": {
			validity: 5, uid: 7, at: at, home: home{"01234567", "89abcdef"}, mark: "deadbeef", look: look{lookMoved, 9, at},
		},
		"5:0:1795000000:0123456789abcdef::u1.1795000000": {validity: 5, at: at, home: home{"01234567", "89abcdef"}, look: look{lookUnread, 1, at}},
	} {
		got, ok := parseCursor(text)
		require.True(t, ok, text)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for _, text := range []string{
		"", "5", "0:1", "x:1", "1:x", "1:2:x", "1:2:3:4", "-1:2", "4294967296:1", "1:2:3:0123456789abcdef:x", "1:2:3:::x9.1", "1:2:3:::u0.1", "1:2:3:::u9.1:0",
	} {
		_, ok := parseCursor(text)
		require.False(t, ok, text)
	}
}

// TestWhatNumbersMean: when the reading goes on by number, and how otherwise.
func TestWhatNumbersMean(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	at := now.Add(-time.Hour)
	here := home{"00000001", "00000002"}
	known := cursor{validity: 5, uid: 7, at: at, home: here, mark: "aaaaaaaa"}
	same := place{home: here, validity: 5, next: 8}
	moved := func(next uint32) look { return look{lookMoved, next, at.Add(-margin)} }
	unread := func(next uint32, since time.Time) look { return look{lookUnread, next, since} }
	with := func(c cursor, change func(*cursor)) cursor { change(&c); return c }
	at2 := func(p place, change func(*place)) place { change(&p); return p }
	old := now.Add(-365 * 24 * time.Hour)
	interrupted := with(known, func(c *cursor) { c.look = unread(8, old) })
	for name, tt := range map[string]struct {
		cursor cursor
		place  place
		want   look // zero: it goes on by number
	}{
		"the same":                          {known, same, look{}},
		"the mail is there":                 {known, at2(same, func(p *place) { p.mark = "aaaaaaaa" }), look{}},
		"UIDVALIDITY is another":            {known, at2(same, func(p *place) { p.validity = 6 }), moved(8)},
		"UIDNEXT went back":                 {known, at2(same, func(p *place) { p.next = 7 }), moved(7)},
		"another mail has the number":       {known, at2(same, func(p *place) { p.mark = "bbbbbbbb" }), moved(8)},
		"another server, who knows":         {known, at2(same, func(p *place) { p.home.server = "00000009" }), moved(8)},
		"another name of the server":        {known, at2(same, func(p *place) { p.home.server, p.mark = "00000009", "aaaaaaaa" }), look{}},
		"another folder":                    {known, at2(same, func(p *place) { p.home.folder = "00000009" }), unread(8, at.Add(-margin))},
		"another name of the folder":        {known, at2(same, func(p *place) { p.home.folder, p.mark = "00000009", "aaaaaaaa" }), look{}},
		"another folder, a quiet one first": {with(known, func(c *cursor) { c.at = old }), at2(same, func(p *place) { p.home.folder = "00000009" }), unread(8, now.Add(-longestLook))},
		"no time, and moved":                {cursor{validity: 5, uid: 7}, at2(same, func(p *place) { p.validity = 6 }), unread(8, now.Add(-firstLook))},
		"of before there were homes":        {cursor{validity: 5, uid: 7, at: at}, same, look{}},
		"a look goes on":                    {interrupted, same, interrupted.look},
		"a look, and moved":                 {interrupted, at2(same, func(p *place) { p.validity, p.next = 6, 99 }), unread(99, old)},
		"a look, and UIDNEXT went back":     {with(interrupted, func(c *cursor) { c.uid, c.look.until = 3, 50 }), same, unread(8, old)},
	} {
		got := tt.cursor.onto(tt.place, true, now)
		require.Equal(t, tt.want, got.look, name)
		require.Equal(t, tt.place.home, got.home, name)
		require.Equal(t, tt.place.validity, got.validity, name)
		require.False(t, got.at.IsZero(), name)
		if tt.want == tt.cursor.look {
			require.Equal(t, tt.cursor.uid, got.uid, name)
		} else {
			require.Zero(t, got.uid, name)
		}
	}
	first := cursor{}.onto(same, false, now)
	require.Equal(t, cursor{validity: 5, at: now, home: here, look: unread(8, now.Add(-firstLook))}, first)
}

// restored is a reader with a cursor that the mailbox's server knows nothing of.
func (b box) restored(cursor func(validity uint32) string) *reader {
	b.t.Helper()
	before := newReader(b.t, b.load(b.config())).start()
	before.wait("the cursor", func() bool { return before.cursor != "" && before.healthy() })
	before.end()
	c, ok := parseCursor(before.cursor)
	require.True(b.t, ok)
	r := newReader(b.t, b.load(b.config()))
	r.cursor = cursor(c.validity)
	return r
}

// TestAMailboxRestoredFromABackupLosesNothing: its server goes on with lower
// numbers under the same UIDVALIDITY.
func TestAMailboxRestoredFromABackupLosesNothing(t *testing.T) {
	b := newBox(t)
	r := b.restored(func(validity uint32) string { return fmt.Sprintf("%d:5000:%d", validity, time.Now().Unix()) }).start()
	r.wait("the look", r.healthy)
	b.save(b.plainMail("restored@customer.test", "hello"))
	r.wait("the mail", func() bool { return slices.Contains(r.ids, "restored@customer.test") })
	r.end()
	c, _ := parseCursor(r.cursor)
	require.Equal(t, uint32(1), c.uid)

	// As many mails came while nobody looked as were lost: the numbers fit again.
	b = newBox(t)
	b.save(b.plainMail("0@customer.test", "hello"), b.plainMail("1@customer.test", "hello"))
	r = b.restored(func(validity uint32) string {
		return cursor{validity: validity, uid: 2, at: time.Now(), mark: markOf([]byte("Message-ID: <lost@customer.test>\r\n\r\n"))}.String()
	}).start()
	r.wait("both", func() bool { return len(r.ids) == 2 })

	// Nothing was restored: nothing comes again.
	b = newBox(t)
	b.save(b.plainMail("0@customer.test", "hello"), b.plainMail("1@customer.test", "hello"))
	r = b.restored(func(validity uint32) string {
		return cursor{validity: validity, uid: 2, at: time.Now(), mark: markOf([]byte("Message-ID: <1@customer.test>\r\n\r\n"))}.String()
	}).start()
	r.wait("the look", r.healthy)
	b.save(b.plainMail("2@customer.test", "hello"))
	r.wait("the next", func() bool { return len(r.ids) > 0 })
	require.Equal(t, []string{"2@customer.test"}, r.ids)
}

// TestAnotherMailboxBringsNoOldMail: a corrected email.imap.mailbox, or a server
// with other numbers, makes no messages of what people have read long ago.
func TestAnotherMailboxBringsNoOldMail(t *testing.T) {
	longAgo := time.Now().Add(-3650 * 24 * time.Hour)
	for name, tt := range map[string]struct {
		cursor  func(validity uint32) string
		arrived time.Time
	}{
		"of before there was a mail": {func(uint32) string { return "7:3" }, longAgo},
		"moved":                      {func(uint32) string { return fmt.Sprintf("7:3:%d", time.Now().Unix()) }, longAgo},
		"moved, all arrive today":    {func(uint32) string { return fmt.Sprintf("7:3:%d", time.Now().Unix()) }, time.Now()},
		"another folder with the same number": {func(validity uint32) string {
			return cursor{validity: validity, uid: 3, at: time.Now(), home: home{shortHash("127.0.0.1"), "00000000"}}.String()
		}, time.Now()},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			date := longAgo.Format(time.RFC1123Z)
			require.NoError(t, b.Fill(b.address, 30, tt.arrived, true, func(i int) []byte {
				return crlf(strings.Replace(b.plainMail(fmt.Sprintf("old%d@customer.test", i), "text"), "Fri, 20 Nov 2026 10:00:00 +0000", date, 1))
			}))
			r := b.restored(tt.cursor).start()
			r.wait("the look", r.healthy)
			b.save(b.plainMail("new@customer.test", "hello"))
			r.wait("the mail", func() bool { return slices.Contains(r.ids, "new@customer.test") })
			require.Equal(t, []string{"new@customer.test"}, r.ids)
		})
	}
}

// TestAnInterruptedFirstLookGoesOnAsOne: what people have read is not new
// because another replica takes over in the middle.
func TestAnInterruptedFirstLookGoesOnAsOne(t *testing.T) {
	b := newBox(t)
	const waiting = chunkSize + 5
	b.fill("waiting", waiting, time.Now().Add(-time.Hour), false)
	b.fill("read", 5, time.Now(), true)
	b.fill("old", 5, time.Now().Add(-30*24*time.Hour), false)
	r := newReader(t, b.load(b.config()))
	r.room = 1
	r.start()
	r.wait("the interruption", func() bool { return len(r.reports) > 0 })
	r.end()
	require.Len(t, r.ids, chunkSize)
	r.room = 0
	r.reports = nil
	r.start()
	r.wait("the rest", r.healthy)
	b.save(b.plainMail("new@customer.test", "hello"))
	r.wait("the new one", func() bool { return slices.Contains(r.ids, "new@customer.test") })
	require.Len(t, r.ids, waiting+1)
	for _, id := range r.ids[:waiting] {
		require.Contains(t, id, "waiting")
	}
}
