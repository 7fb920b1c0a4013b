package email

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// firstLook is how far back a mailbox is read that was never read before:
	// unread mail of the last day is somebody who waits for an answer, and what
	// is older has been dealt with in another way.
	firstLook = 24 * time.Hour
	// longestLook is how far back another mailbox is read that takes the place of
	// one that could not be read for a while (email.imap.mailbox was wrong over a
	// weekend and a holiday).
	longestLook = 7 * 24 * time.Hour
	// margin is for the clocks of a mailbox that was moved to another server, and
	// for SEARCH, which knows days of the server's own zone only.
	margin = 48 * time.Hour
	// onTheWay is how long a mail may be on its way: servers give up after five
	// days (RFC 5321 section 4.5.4.1), and the writer's clock may be wrong.
	onTheWay = 7 * 24 * time.Hour
)

// cursor is how far a mailbox was read: all mails of one UIDVALIDITY up to a
// UID. What else is in it tells whether the numbers still mean the same mails,
// and how the reading goes on where they do not.
type cursor struct {
	validity, uid uint32
	// at is when the latest mail arrived; before there was one, when the mailbox
	// was first looked at.
	at   time.Time
	home home   // zero: not known
	mark string // of the mail with that UID; empty: not known
	look look   // zero: none is under way
}

// home tells mailboxes apart without naming them: an account's folder, and the
// server that it is on.
type home struct{ server, folder string }

func (c *channel) home() home {
	folder := c.config.IMAP.Mailbox
	if strings.EqualFold(folder, defaultMailbox) { // RFC 9051 section 5.1: in any case of letters
		folder = defaultMailbox
	}
	return home{server: shortHash(strings.ToLower(c.config.IMAP.Host)), folder: shortHash(c.config.username() + "\x00" + folder)}
}

// markOf is what a mail is known by again under its number; empty: nothing.
func markOf(header []byte) string {
	id := first(ids(parseHeader(header).values("message-id")...))
	if id == "" {
		return ""
	}
	return shortHash(id)
}

// shortHash needs no more than to make it unlikely that two things that take
// each other's place look the same.
func shortHash(s string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return fmt.Sprintf("%08x", h.Sum32())
}

// look is a reading of what lies in a mailbox already, below the UID until. It
// stands in the cursor, so that one which is interrupted goes on as it began.
type look struct {
	kind  lookKind
	until uint32
	since time.Time
}

type lookKind string

const (
	lookUnread lookKind = "u" // unread mail that arrived since then
	lookMoved  lookKind = "m" // all mail that arrived since then: it was numbered anew
)

var (
	homeForm = regexp.MustCompile(`^([0-9a-f]{8})([0-9a-f]{8})$`)
	markForm = regexp.MustCompile(`^[0-9a-f]{8}$`)
	lookForm = regexp.MustCompile(`^([um])([0-9]{1,10})\.(-?[0-9]{1,12})$`)
)

// parseCursor reads "validity:uid:at:home:mark:look", of which the first two are
// always there. What cannot be read is no cursor: the mailbox is read as if for
// the first time, and what is known already is one message by its id.
func parseCursor(s string) (c cursor, ok bool) {
	fields := strings.Split(s, ":")
	if len(fields) < 2 || len(fields) > 6 {
		return cursor{}, false
	}
	fields = append(fields, "", "", "", "")
	validity, err1 := strconv.ParseUint(fields[0], 10, 32)
	uid, err2 := strconv.ParseUint(fields[1], 10, 32)
	if err1 != nil || err2 != nil || validity == 0 {
		return cursor{}, false
	}
	c = cursor{validity: uint32(validity), uid: uint32(uid), mark: fields[4]}
	if fields[2] != "" {
		seconds, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return cursor{}, false
		}
		c.at = time.Unix(seconds, 0)
	}
	if fields[3] != "" {
		found := homeForm.FindStringSubmatch(fields[3])
		if found == nil {
			return cursor{}, false
		}
		c.home = home{server: found[1], folder: found[2]}
	}
	if c.mark != "" && !markForm.MatchString(c.mark) {
		return cursor{}, false
	}
	if fields[5] != "" {
		if c.look, ok = parseLook(fields[5]); !ok {
			return cursor{}, false
		}
	}
	return c, true
}

func parseLook(s string) (look, bool) {
	found := lookForm.FindStringSubmatch(s)
	if found == nil {
		return look{}, false
	}
	until, err1 := strconv.ParseUint(found[2], 10, 32)
	since, err2 := strconv.ParseInt(found[3], 10, 64)
	if err1 != nil || err2 != nil || until == 0 {
		return look{}, false
	}
	return look{kind: lookKind(found[1]), until: uint32(until), since: time.Unix(since, 0)}, true
}

// String is what the store keeps.
func (c cursor) String() string {
	at, under := "", ""
	if !c.at.IsZero() {
		at = strconv.FormatInt(c.at.Unix(), 10)
	}
	if c.look.until != 0 {
		under = fmt.Sprintf("%s%d.%d", c.look.kind, c.look.until, c.look.since.Unix())
	}
	s := fmt.Sprintf("%d:%d:%s:%s:%s:%s", c.validity, c.uid, at, c.home.server+c.home.folder, c.mark, under)
	return strings.TrimRight(s, ":")
}

// place is a mailbox as it was found when it was opened.
type place struct {
	home           home
	validity, next uint32 // UIDVALIDITY, UIDNEXT
	mark           string // of the mail that has the cursor's UID; empty: not known, or there is none
}

// onto is the cursor with which the reading goes on in a mailbox. A number
// counts only where it means the same mail as before. Not so
//
//	where UIDVALIDITY is another one: moved, or restored by a server that says so;
//	where UIDNEXT is not beyond the cursor, or another mail has its number:
//	restored from a backup by one that does not, as its own numbers went back, too;
//	where the Channel names another server, account or folder, and the mail at
//	the cursor is not the same one: UIDVALIDITY is 1 in many a mailbox.
//
// Then what arrived since the last known mail is found by its time, and what is
// known of it by its id. Of another account or folder only unread mail counts:
// what people have read there was never for this Channel.
func (c cursor) onto(p place, started bool, now time.Time) cursor {
	anew := cursor{validity: p.validity, at: c.at, home: p.home}
	if !started {
		anew.at = now
		anew.look = look{kind: lookUnread, until: p.next, since: now.Add(-firstLook)}
		return anew
	}
	known := c.mark != "" && c.mark == p.mark
	other := c.mark != "" && p.mark != "" && c.mark != p.mark
	elsewhere := c.home != (home{}) && c.home != p.home && !known
	if c.validity == p.validity && c.uid < p.next && c.look.until <= p.next && !other && !elsewhere {
		if c.home = p.home; c.at.IsZero() {
			c.at = now
		}
		return c
	}
	anew.look = look{kind: lookMoved, until: p.next, since: c.at.Add(-margin)}
	switch {
	case c.look.until != 0 && c.home == p.home:
		anew.look.kind, anew.look.since = c.look.kind, c.look.since
	case c.at.IsZero():
		anew.at = now
		anew.look.kind, anew.look.since = lookUnread, now.Add(-firstLook)
	case elsewhere && c.home.folder != p.home.folder:
		anew.look.kind = lookUnread
		anew.look.since = later(now.Add(-longestLook), earlier(anew.look.since, now.Add(-firstLook)))
	}
	return anew
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
