package email

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	gomessage "github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// headerLoop marks what is sent from here with the account's address, so that
// it is known when a forwarding brings it back.
const headerLoop = "x-loop"

// outgoing is a mail about to be sent.
type outgoing struct {
	c           *channel
	out         platform.Outgoing
	id          string
	attachments []opened
}

// opened is an attachment whose bytes are at hand.
type opened struct {
	message.Attachment
	body io.ReadCloser
}

func (o *outgoing) close() {
	for _, a := range o.attachments {
		_ = a.body.Close()
	}
}

// compose opens the attachments of a part. Nothing is asked of the mail server
// before they are at hand.
func (c *channel) compose(ctx context.Context, out platform.Outgoing) (*outgoing, error) {
	o := &outgoing{c: c, out: out, id: messageID(out.Delivery, out.Part.Index, c.account)}
	list := out.Part.Attachments
	if out.Part.Attachment != nil { // planned by a store that does not bundle
		list = append([]message.Attachment{*out.Part.Attachment}, list...)
	}
	for _, a := range list {
		body, err := c.openAttachment(ctx, out, a)
		if err != nil {
			o.close()
			return nil, err
		}
		o.attachments = append(o.attachments, opened{a, body})
	}
	return o, nil
}

func (c *channel) openAttachment(ctx context.Context, out platform.Outgoing, a message.Attachment) (io.ReadCloser, error) {
	if a.MediaID != "" {
		if out.OpenMedia == nil {
			return nil, &platform.Error{Class: wire.ErrRetryable, Reason: "the store's media cannot be opened here"}
		}
		body, err := out.OpenMedia(ctx, a.MediaID)
		if err != nil {
			return nil, &platform.Error{Class: wire.ErrRetryable, Reason: "the attachment could not be read from the store", Err: err}
		}
		return body, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	if err != nil {
		return nil, &platform.Error{Class: wire.ErrContentRejected, Reason: "the attachment's url is no URL"}
	}
	resp, err := platform.Open(c.client, req)
	if err != nil {
		return nil, err
	}
	if e := platform.StatusError(platform.Answer{Status: resp.StatusCode, Header: resp.Header}, c.now()); e != nil {
		_ = resp.Body.Close()
		e.MaybeSent, e.Reason = false, "the attachment cannot be fetched from its url: "+e.Reason
		if e.Class != wire.ErrRetryable && e.Class != wire.ErrRateLimited {
			e.Class = wire.ErrContentRejected
		}
		return nil, e
	}
	return struct {
		io.Reader
		io.Closer
	}{&atMost{resp.Body, maxUpload}, resp.Body}, nil
}

// atMost fails a stream that is longer than a mail may be, instead of cutting it.
type atMost struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (a *atMost) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if a.left -= int64(n); a.left < 0 {
		return n, &platform.Error{Class: wire.ErrContentRejected, Reason: fmt.Sprintf("the attachment has more than %d bytes", maxUpload)}
	}
	return n, err
}

// size estimates the mail's size, in bytes: what the server is told before.
func (o *outgoing) size() int64 {
	n := int64(len(o.out.Part.Text))*3/2 + 4096
	for _, a := range o.attachments {
		n += max(a.Size, 0)*137/100 + 512
	}
	return n
}

// header of the mail.
func (o *outgoing) header() mail.Header {
	c, out := o.c, o.out
	var h mail.Header
	date := sentAt(out.Delivery)
	if date.IsZero() {
		date = c.now()
	}
	h.SetDate(date.UTC().Truncate(time.Second))
	h.SetAddressList("From", []*mail.Address{{Name: c.config.DisplayName, Address: c.config.Address}})
	h.SetAddressList("To", []*mail.Address{{Address: out.To}})
	if reply := o.replyTo(); reply != c.config.Address {
		h.SetAddressList("Reply-To", []*mail.Address{{Name: c.config.DisplayName, Address: reply}})
	}
	h.SetSubject(o.subject())
	h.SetMessageID(o.id)
	if list := o.references(); len(list) > 0 {
		h.SetMsgIDList("In-Reply-To", list[len(list)-1:])
		h.SetMsgIDList("References", list)
	}
	h.Set("X-Loop", c.account)
	if m := out.Part.Mail; m != nil && m.Automated != "" {
		h.Set("Auto-Submitted", "auto-"+map[bool]string{true: "replied", false: "generated"}[m.Automated == message.AutomatedReply])
		h.Set("X-Auto-Response-Suppress", "All")
	}
	return h
}

func (o *outgoing) replyTo() string {
	if o.c.config.PlusAddressing {
		return withToken(o.c.config.ReplyAddress, o.out.Delivery)
	}
	return o.c.config.ReplyAddress
}

// subject is the thread's, on one line.
func (o *outgoing) subject() string {
	subject := o.c.config.Subject
	if m := o.out.Part.Mail; m != nil && m.Subject != "" {
		subject = m.Subject
	}
	return strings.Join(strings.Fields(subject), " ")
}

// references end with the mail that is answered.
func (o *outgoing) references() []string {
	var list []string
	if m := o.out.Part.Mail; m != nil {
		list = sendable(m.References)
	}
	for _, id := range sendable([]string{o.out.ReplyTo}) {
		if len(list) == 0 || list[len(list)-1] != id {
			list = append(list, id)
		}
	}
	return shorten(list)
}

// write writes the mail. An error is of an attachment, or of w.
func (o *outgoing) write(w io.Writer) error {
	h := o.header()
	text := strings.ReplaceAll(normaliseLines(o.out.Part.Text), "\n", "\r\n")
	if len(o.attachments) == 0 {
		h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
		body, err := mail.CreateSingleInlineWriter(w, h)
		if err != nil {
			return err
		}
		return writeAll(body, strings.NewReader(text))
	}
	mw, err := mail.CreateWriter(w, h)
	if err != nil {
		return err
	}
	if text != "" {
		var inline mail.InlineHeader
		inline.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
		body, err := mw.CreateSingleInline(inline)
		if err != nil {
			return err
		}
		if err := writeAll(body, strings.NewReader(text)); err != nil {
			return err
		}
	}
	for i, a := range o.attachments {
		body, err := mw.CreateAttachment(attachmentHeader(a, i))
		if err != nil {
			return err
		}
		if err := writeAll(body, a.body); err != nil {
			return err
		}
	}
	return mw.Close()
}

func writeAll(w io.WriteCloser, r io.Reader) error {
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Close()
}

func attachmentHeader(a opened, i int) mail.AttachmentHeader {
	mediaType, _, err := mime.ParseMediaType(a.MimeType)
	if err != nil || strings.HasPrefix(mediaType, "multipart/") || strings.HasPrefix(mediaType, "message/") {
		mediaType = "application/octet-stream"
	}
	name := a.Name
	if name == "" {
		name = nameOf(a.Attachment, mediaType, i)
	}
	var h mail.AttachmentHeader
	h.Header = gomessage.Header{}
	h.SetContentType(mediaType, nil) // text is sent as it is, in a charset that nobody told
	h.Set("Content-Transfer-Encoding", "base64")
	h.SetFilename(name)
	return h
}

// nameOf makes a name by which programs know what to open it with.
func nameOf(a message.Attachment, mediaType string, i int) string {
	if base := path.Base(a.URL); a.URL != "" && strings.Contains(base, ".") && !strings.ContainsAny(base, "?#") {
		return base
	}
	ending := ""
	if known, _ := mime.ExtensionsByType(mediaType); len(known) > 0 {
		ending = known[0]
	}
	return fmt.Sprintf("%s-%d%s", or(string(a.Kind), "file"), i+1, ending)
}
