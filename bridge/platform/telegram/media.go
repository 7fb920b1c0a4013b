package telegram

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// FetchMedia implements platform.MediaFetcher. The link that getFile gives
// holds the token and lives for an hour; neither it nor a part of it is kept.
// Its file name is one of the server's numbering ("file_12.pdf"), so Media has
// no Name: the message told the real one, if there is one.
func (p *Platform) FetchMedia(ctx context.Context, ch platform.Channel, ref string) (platform.Media, error) {
	c := self(ch)
	fileID, _, _ := strings.Cut(ref, refSeparator)
	var f struct {
		FilePath string `json:"file_path"`
	}
	if err := c.call(ctx, "getFile", params{"file_id": fileID}, &f); err != nil {
		return platform.Media{}, err
	}
	link, err := c.fileURL(f.FilePath)
	if err != nil {
		return platform.Media{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return platform.Media{}, &platform.Error{Class: wire.ErrMisconfigured, Reason: "the base URL for telegram is not a URL"}
	}
	resp, err := platform.Open(c.client, req)
	if err != nil {
		return platform.Media{}, c.redact(err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return platform.Media{}, c.redact(downloadError(resp, p))
	}
	return platform.Media{Body: resp.Body, MimeType: mimeType(resp.Header), Size: resp.ContentLength}, nil
}

// fileURL is where the bytes are. A server in local mode names a path on its
// own disk, which is not to be had over the network.
func (c *channel) fileURL(filePath string) (string, error) {
	if filePath == "" {
		return "", &platform.Error{Class: wire.ErrContentRejected, Reason: "Telegram names no path for the file"}
	}
	segments := strings.Split(filePath, "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." {
			return "", &platform.Error{Class: wire.ErrMisconfigured, Reason: "the Bot API server names a path of its own disk; run it without --local"}
		}
		segments[i] = url.PathEscape(s)
	}
	return c.endpoint + "/file/bot" + c.token + "/" + strings.Join(segments, "/"), nil
}

func downloadError(resp *http.Response, p *Platform) error {
	e := platform.StatusError(platform.Answer{Status: resp.StatusCode, Header: resp.Header}, p.clock())
	if e == nil { // a 2xx without the whole file
		e = &platform.Error{Class: wire.ErrRetryable, Reason: resp.Status}
	}
	e.MaybeSent = false // nothing is sent by fetching
	if resp.StatusCode == http.StatusNotFound {
		e.Class = wire.ErrRetryable // the link was just made: it is there in a moment
	}
	return e
}

// mimeType is empty when the server does not know it: the message's own is
// better then.
func mimeType(h http.Header) string {
	t := h.Get("Content-Type")
	if strings.HasPrefix(t, "application/octet-stream") {
		return ""
	}
	return t
}

// Ack implements platform.Acker: a pressed button shows a clock until its query
// is answered.
func (p *Platform) Ack(ctx context.Context, ch platform.Channel, e message.Event) error {
	id, ok := strings.CutPrefix(e.ExternalID, callbackPrefix)
	if !ok || e.Message == nil || e.Message.Type != message.TypePostback {
		return nil
	}
	err := self(ch).call(ctx, "answerCallbackQuery", params{"callback_query_id": id}, nil)
	if saysOneOf(err, "query is too old") {
		return nil // the clock has stopped by itself
	}
	return err
}

// PayloadAcks implements platform.PayloadAcker: inline queries become no event,
// and whoever typed one sees a clock until it is answered.
func (p *Platform) PayloadAcks(body []byte) []string {
	if !bytes.Contains(body, []byte(`"`+updateInlineQuery+`"`)) {
		return nil // nearly always: a look at the bytes spares the decoding
	}
	updates, err := updatesOf(body)
	if err != nil {
		return nil
	}
	var ids []string
	for _, raw := range updates {
		u, err := decodeUpdate(raw)
		if err != nil {
			continue
		}
		if id, ok := u.inlineQuery(); ok {
			ids = append(ids, inlineQueryPrefix+id)
		}
	}
	return ids
}

// AckPayload implements platform.PayloadAcker. The answer is an empty list: a
// Channel has no results to choose from. It is kept for a minute and for this
// person only, so that each further letter does not ask again.
func (p *Platform) AckPayload(ctx context.Context, ch platform.Channel, key string) error {
	id, ok := strings.CutPrefix(key, inlineQueryPrefix)
	if !ok {
		return nil
	}
	err := self(ch).call(ctx, "answerInlineQuery", params{"inline_query_id": id, "results": []any{}, "cache_time": 60, "is_personal": true}, nil)
	if saysOneOf(err, "query is too old") {
		return nil
	}
	return err
}
