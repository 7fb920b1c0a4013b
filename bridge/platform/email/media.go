package email

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	gomessage "github.com/emersion/go-message"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// mediaRef is the handle of an attachment: a part of a mail of the mailbox.
type mediaRef struct {
	validity, uid  uint32
	path, encoding string
	messageID      string // finds the mail when it has another UID by then
}

// String is message.Attachment.Ref.
func (r mediaRef) String() string {
	return fmt.Sprintf("%d:%d:%s:%s:%s", r.validity, r.uid, r.path, r.encoding, r.messageID)
}

func parseRef(s string) (r mediaRef, ok bool) {
	fields := strings.SplitN(s, ":", 5)
	if len(fields) != 5 || splitPath(fields[2]) == nil {
		return r, false
	}
	validity, err1 := strconv.ParseUint(fields[0], 10, 32)
	uid, err2 := strconv.ParseUint(fields[1], 10, 32)
	if err1 != nil || err2 != nil {
		return r, false
	}
	return mediaRef{validity: uint32(validity), uid: uint32(uid), path: fields[2], encoding: fields[3], messageID: fields[4]}, true
}

var errMediaGone = &platform.Error{Class: wire.ErrContentRejected, Reason: "the mail is not in the mailbox any more"}

// FetchMedia implements platform.MediaFetcher. It streams one part of a mail
// over a connection of its own, which ends when the body is closed.
func (p *Platform) FetchMedia(ctx context.Context, ch platform.Channel, ref string) (platform.Media, error) {
	c := self(ch)
	r, ok := parseRef(ref)
	if !ok {
		return platform.Media{}, &platform.Error{Class: wire.ErrContentRejected, Reason: "the attachment's handle cannot be read"}
	}
	select {
	case c.media <- struct{}{}:
	case <-ctx.Done():
		return platform.Media{}, ctx.Err()
	}
	release := sync.OnceFunc(func() { <-c.media })
	m, err := c.openMailbox(ctx, nil)
	if err != nil {
		release()
		return platform.Media{}, err
	}
	end := sync.OnceFunc(func() { m.end(); release() })
	body, err := m.openPart(r)
	if err != nil {
		end()
		return platform.Media{}, c.redact(m.trouble(err))
	}
	return platform.Media{Body: &partBody{Reader: body, end: end}, Size: -1}, nil
}

// openPart streams a part, decoded.
func (m *mailbox) openPart(r mediaRef) (io.Reader, error) {
	uid, err := m.locate(r)
	if err != nil {
		return nil, err
	}
	if uid == 0 {
		return nil, errMediaGone
	}
	command := m.Fetch(imap.UIDSetNum(uid), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Part: splitPath(r.path), Peek: true}}})
	for data := command.Next(); data != nil; data = command.Next() {
		for item := data.Next(); item != nil; item = data.Next() {
			if section, ok := item.(imapclient.FetchItemDataBodySection); ok && section.Literal != nil {
				return decoded(section.Literal, r.encoding), nil
			}
		}
	}
	if err := command.Close(); err != nil && !refused(err) {
		return nil, err
	}
	return nil, errMediaGone
}

// decoded undoes a transfer encoding; one that nobody knows is left as it is.
func decoded(r io.Reader, encoding string) io.Reader {
	var h gomessage.Header
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Transfer-Encoding", strings.TrimSpace(encoding))
	e, err := gomessage.New(h, r)
	if err != nil {
		return r
	}
	return e.Body
}

// partBody ends its connection when it is closed.
type partBody struct {
	io.Reader
	end func()
}

// Close implements io.Closer.
func (b *partBody) Close() error {
	b.end()
	return nil
}
