package meta

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// publicClient fetches media where the API is somewhere private (a proxy, a
// test double): the links come in payloads, and who can sign one must not
// reach into a cluster's network with it.
var publicClient = sync.OnceValue(func() *http.Client { return platform.NewClient(platform.GuardOptions{}) })

// maxHops is how many redirects a link may take within Meta's network.
const maxHops = 5

// FetchMedia implements platform.MediaFetcher. Links need no token and get none.
func (p *Platform) FetchMedia(ctx context.Context, ch platform.Channel, ref string) (platform.Media, error) {
	c := self(ch)
	link, err := url.Parse(ref)
	if err != nil || link.Host == "" || link.Scheme != "https" && link.Scheme != "http" {
		return platform.Media{}, &platform.Error{Class: wire.ErrContentRejected, Reason: "the attachment's link is not a web address"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link.String(), nil)
	if err != nil {
		return platform.Media{}, &platform.Error{Class: wire.ErrContentRejected, Reason: "the attachment's link is not a web address"}
	}
	resp, err := platform.Open(c.mediaClient(link), req)
	if err != nil {
		if e := asError(err); e != nil {
			e.MaybeSent = false // nothing is sent by fetching
		}
		return platform.Media{}, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return platform.Media{}, p.downloadError(resp)
	}
	return platform.Media{Body: resp.Body, MimeType: mimeType(resp.Header), Size: resp.ContentLength}, nil
}

// mediaClient is guarded as the API's own client is, follows redirects to other
// hosts (no token travels), and is public where the API is not.
func (c *channel) mediaClient(link *url.URL) *http.Client {
	client := c.client
	if api, err := url.Parse(c.base); c.private && (err != nil || api.Host != link.Host) {
		client = publicClient()
	}
	following := *client
	following.CheckRedirect = func(_ *http.Request, via []*http.Request) error {
		if len(via) > maxHops {
			return errors.New("too many redirects")
		}
		return nil
	}
	return &following
}

func (p *Platform) downloadError(resp *http.Response) error {
	e := platform.StatusError(platform.Answer{Status: resp.StatusCode, Header: resp.Header}, p.now())
	if e == nil { // a 2xx without the whole file
		e = &platform.Error{Class: wire.ErrRetryable, Reason: resp.Status}
	}
	e.MaybeSent = false
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		e.Class, e.Reason = wire.ErrContentRejected, "the attachment's link has expired: "+e.Reason
	}
	return e
}

// mimeType is empty when the server does not know it.
func mimeType(h http.Header) string {
	t := h.Get("Content-Type")
	if strings.HasPrefix(t, "application/octet-stream") {
		return ""
	}
	return t
}
