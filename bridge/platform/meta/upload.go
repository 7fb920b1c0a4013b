package meta

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

type openMedia = func(context.Context, string) (io.ReadCloser, error)

// attachment is the object of a file: by its URL, which Meta fetches, or by the
// id of an upload.
func (p *Platform) attachment(ctx context.Context, c *channel, a message.Attachment, open openMedia) (fields, error) {
	if a.MediaID == "" {
		return fields{"type": string(a.Kind), "payload": fields{"url": a.URL}}, nil
	}
	id, err := p.upload(ctx, c, a, open)
	if err != nil {
		return nil, err
	}
	return fields{"type": string(a.Kind), "payload": fields{"attachment_id": id}}, nil
}

// upload brings a file of the store to Meta and returns its id there. Nothing
// is sent to anybody by it, so that it can always be done again.
func (p *Platform) upload(ctx context.Context, c *channel, a message.Attachment, open openMedia) (string, error) {
	key := strings.Join([]string{c.base, c.Page, string(a.Kind), a.MediaID}, " ")
	if id := p.uploads.get(key, p.now()); id != "" {
		return id, nil
	}
	if open == nil {
		return "", &platform.Error{Class: wire.ErrRetryable, Reason: "the store's media cannot be opened here"}
	}
	body, err := open(ctx, a.MediaID)
	if err != nil {
		return "", &platform.Error{Class: wire.ErrRetryable, Reason: "the attachment could not be read from the store", Err: err}
	}
	var uploaded struct {
		AttachmentID text `json:"attachment_id"`
	}
	err = p.post(ctx, c, a, body, &uploaded)
	if e := asError(err); e != nil {
		e.MaybeSent = false
	}
	if err == nil && uploaded.AttachmentID == "" {
		err = &platform.Error{Class: wire.ErrRetryable, Reason: "Meta named no attachment_id"}
	}
	if err != nil {
		return "", err
	}
	p.uploads.put(key, string(uploaded.AttachmentID), p.now())
	return string(uploaded.AttachmentID), nil
}

// post streams a multipart form: a file is never in memory as a whole. When
// the store's stream breaks, the form stays without its end and Meta refuses it.
func (p *Platform) post(ctx context.Context, c *channel, a message.Attachment, body io.ReadCloser, result any) error {
	closeBody := sync.OnceFunc(func() { _ = body.Close() })
	defer closeBody()
	req, err := c.request(ctx, graphCall{method: http.MethodPost, path: c.Page + "/message_attachments", query: c.PageQuery})
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	done := make(chan struct{})
	var writeErr error // once done is closed
	go func() {
		writeErr = writeForm(form, a, body)
		close(done) // before the reader sees it: what broke first is known below
		_ = writer.CloseWithError(writeErr)
	}()
	req.Body = reader
	req.Header.Set("Content-Type", form.FormDataContentType())
	err = p.do(c, req, result)
	select {
	case <-done:
		if writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) && err != nil {
			return &platform.Error{Class: wire.ErrRetryable, Reason: "the attachment broke off while it was read from the store", Err: writeErr}
		}
	default: // an early answer or a broken connection: let the writer go, wherever it waits
		_ = reader.Close()
		closeBody()
		<-done
	}
	return err
}

// formats are the media types and endings of files that do not say their own.
var formats = map[message.Type]struct{ mimeType, extension string }{
	message.TypeImage: {"image/jpeg", ".jpg"}, message.TypeVideo: {"video/mp4", ".mp4"},
	message.TypeAudio: {"audio/mpeg", ".mp3"}, message.TypeFile: {"application/octet-stream", ""},
}

func writeForm(form *multipart.Writer, a message.Attachment, body io.Reader) error {
	description, err := json.Marshal(fields{"attachment": fields{"type": string(a.Kind), "payload": fields{"is_reusable": true}}})
	if err != nil {
		return err
	}
	if err := form.WriteField("message", string(description)); err != nil {
		return err
	}
	format := formats[a.Kind]
	mimeType := a.MimeType
	if mimeType == "" || strings.ContainsAny(mimeType, "\r\n") {
		mimeType = format.mimeType
	}
	header := textproto.MIMEHeader{}
	header.Set("Content-Disposition", multipart.FileContentDisposition("filedata", fileName(a, format.extension)))
	header.Set("Content-Type", mimeType)
	part, err := form.CreatePart(header)
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, body); err != nil {
		return fmt.Errorf("reading the attachment: %w", err)
	}
	return form.Close()
}

// uploads remembers for a while what was uploaded, so that a send that is tried
// again, or the same file to many people, does not upload it again. Meta keeps
// reusable attachments for 90 days.
type uploads struct {
	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *uploaded, oldest first
}

type uploaded struct {
	key, id string
	at      time.Time
}

const (
	uploadsKept   = 1000 // some 200 bytes each
	uploadsExpire = 24 * time.Hour
)

func newUploads() *uploads { return &uploads{byKey: map[string]*list.Element{}, order: list.New()} }

func (u *uploads) get(key string, now time.Time) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.byKey[key]
	if e == nil {
		return ""
	}
	if v := e.Value.(*uploaded); now.Sub(v.at) < uploadsExpire {
		return v.id
	}
	u.drop(e)
	return ""
}

func (u *uploads) put(key, id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e := u.byKey[key]; e != nil {
		u.drop(e)
	}
	u.byKey[key] = u.order.PushBack(&uploaded{key: key, id: id, at: now})
	if u.order.Len() > uploadsKept {
		u.drop(u.order.Front())
	}
}

func (u *uploads) drop(e *list.Element) {
	delete(u.byKey, e.Value.(*uploaded).key)
	u.order.Remove(e)
}

const (
	// fetchTimeout is added where Meta fetches the file before it answers.
	fetchTimeout = time.Minute
	// slowestUpload in bytes a second: 2 Mbit/s.
	slowestUpload = 250_000
)

// answerTimeout is how long Meta may take to answer the send of a part.
func answerTimeout(part wire.Part) time.Duration {
	if part.Attachment != nil && part.Attachment.MediaID == "" || part.Template != nil {
		return callTimeout + fetchTimeout
	}
	return callTimeout
}

// SendTimeout implements platform.SendTimeouter: an upload comes before its send.
func (p *Platform) SendTimeout(part wire.Part) time.Duration {
	timeout := answerTimeout(part)
	if a := part.Attachment; a != nil && a.MediaID != "" {
		size := a.Size
		if size == 0 { // not told
			size = p.product.Capabilities.MaxUpload
		}
		timeout += callTimeout + time.Duration(size)*time.Second/slowestUpload
	}
	return timeout
}
