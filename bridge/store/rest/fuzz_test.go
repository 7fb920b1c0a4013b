package rest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// FuzzRequests throws anything at the API: it never panics (that would be 500
// here), and errors are problems.
func FuzzRequests(f *testing.F) {
	for _, op := range every {
		f.Add(op.method, op.path, op.body, "application/json", "application/json")
	}
	f.Add("GET", "/v1/media/m", "", "", "")
	f.Add("HEAD", "/v1/media/m", "", "", "")
	f.Add("GET", "/v1/events?after=9", "", "", "text/event-stream;q=,;")
	f.Add("POST", "/v1/conversations/%2F:assign", `{"owner":{"kind":"none"},"epoch":-1}`, "a+b;c", ";,")
	f.Add("POST", "/v1/conversations/c/messages", `{"text":"\ud800","buttons":[{"title":""}],"attachments":[{}]}`, "", "")
	engine := newStub()
	engine.media = func() (store.MediaMeta, io.ReadCloser) {
		return store.MediaMeta{MimeType: "image/png", Name: "a.png", Size: 5}, io.NopCloser(strings.NewReader("bytes"))
	}
	api, log := newAPI(f, engine, Options{})
	f.Fuzz(func(t *testing.T, method, target, body, contentType, accept string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") {
			return // no request that a server could get
		}
		if prefersStream(accept) {
			accept = "" // a stream has no end
		}
		r := &http.Request{
			Method: method, URL: u, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
			Header: http.Header{"Authorization": {"Bearer admin"}, "Content-Type": {contentType}, "Accept": {accept}},
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code >= 500 {
			t.Fatalf("%s %s: %d %s %s", method, target, w.Code, w.Body, log)
		}
		if w.Code >= 400 {
			problemIn(t, w)
		}
	})
}
