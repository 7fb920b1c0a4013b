package rest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

type readSeekCloser struct{ *bytes.Reader }

func (readSeekCloser) Close() error { return nil }

func TestMediaIsServedSafely(t *testing.T) {
	for claimed, want := range map[string]string{
		"image/png":                    "image/png",
		"image/svg+xml":                "application/octet-stream",
		"text/html":                    "application/octet-stream",
		"text/html; charset=utf-8":     "application/octet-stream",
		"TEXT/HTML":                    "application/octet-stream",
		"application/xhtml+xml":        "application/octet-stream",
		"text/javascript":              "application/octet-stream",
		"text/plain; charset=utf-8":    "text/plain",
		"audio/ogg":                    "audio/ogg",
		"video/mp4":                    "video/mp4",
		"application/pdf":              "application/pdf",
		"":                             "application/octet-stream",
		"image/png\r\nSet-Cookie: x=y": "application/octet-stream",
	} {
		t.Run(claimed, func(t *testing.T) {
			engine := newStub()
			engine.media = func() (store.MediaMeta, io.ReadCloser) {
				return store.MediaMeta{MimeType: claimed, Name: "Rechnung \"März\".png", Size: 8},
					io.NopCloser(strings.NewReader("<script>"))
			}
			api, _ := newAPI(t, engine, Options{})
			w := ask(t, api, "reader", "GET", "/v1/media/m", "")
			require.Equal(t, http.StatusOK, w.Code)
			assert.Equal(t, "<script>", w.Body.String())
			h := w.Header()
			assert.Equal(t, want, h.Get("Content-Type"))
			assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
			assert.True(t, strings.HasPrefix(h.Get("Content-Disposition"), "attachment"))
			assert.Contains(t, h.Get("Content-Security-Policy"), "sandbox")
			assert.Equal(t, "no-store", h.Get("Cache-Control"))
			assert.Equal(t, "8", h.Get("Content-Length"))
		})
	}
}

func TestMediaRanges(t *testing.T) {
	engine := newStub()
	engine.media = func() (store.MediaMeta, io.ReadCloser) {
		return store.MediaMeta{MimeType: "video/mp4", Size: 10}, readSeekCloser{bytes.NewReader([]byte("0123456789"))}
	}
	api, _ := newAPI(t, engine, Options{})
	w := ask(t, api, "reader", "GET", "/v1/media/m", "", "Range", "bytes=2-4")
	assert.Equal(t, http.StatusPartialContent, w.Code)
	assert.Equal(t, "234", w.Body.String())
	w = ask(t, api, "reader", "HEAD", "/v1/media/m", "")
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Empty(t, w.Body.String())
	assert.Equal(t, "10", w.Header().Get("Content-Length"))
}

func TestMediaAccess(t *testing.T) {
	engine := newStub()
	engine.err = store.ErrNotFound
	api, _ := newAPI(t, engine, Options{})
	w := ask(t, api, "reader", "GET", "/v1/media/m", "")
	assert.Equal(t, http.StatusNotFound, w.Code)
	problemIn(t, w)
	w = ask(t, api, "", "GET", "/v1/media/m", "")
	assert.Equal(t, http.StatusUnauthorized, w.Code)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("disk") }

// A download that breaks must not look whole to the client.
func TestBrokenMediaAbortsTheConnection(t *testing.T) {
	engine := newStub()
	engine.media = func() (store.MediaMeta, io.ReadCloser) {
		return store.MediaMeta{}, io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))
	}
	api, _ := newAPI(t, engine, Options{})
	assert.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { ask(t, api, "reader", "GET", "/v1/media/m", "") })
}

func TestUpload(t *testing.T) {
	engine := newStub()
	api, _ := newAPI(t, engine, Options{})
	data := strings.Repeat("0123456789", 400_000) // more than a JSON body may have
	w := ask(t, api, "writer", "POST", "/v1/media?namespace=shop&name=a.png", data, "Content-Type", "image/png")
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	assert.JSONEq(t, `{"id":"u1","url":"/v1/media/u1"}`, w.Body.String())
	assert.Equal(t, "/v1/media/u1", w.Header().Get("Location"))
	assert.Equal(t, int64(len(data)), engine.upload)
}

func TestUploadLargerThanAllowed(t *testing.T) {
	api, _ := newAPI(t, newStub(), Options{})
	for name, length := range map[string]int64{"told": maxUpload + 1, "not told": -1} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/v1/media?namespace=shop", io.LimitReader(zeros{}, maxUpload+1))
			r.ContentLength = length
			r.Header.Set("Authorization", "Bearer writer")
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			assert.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
			problemIn(t, w)
		})
	}
}

func TestUploadBrokenOffIsTheClientsMatter(t *testing.T) {
	api, log := newAPI(t, newStub(), Options{})
	r := httptest.NewRequest(http.MethodPost, "/v1/media?namespace=shop", io.MultiReader(strings.NewReader("half"), broken{}))
	r.Header.Set("Authorization", "Bearer writer")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Empty(t, log.String())
	assert.InDelta(t, 1, testutil.ToFloat64(api.metrics.requests.WithLabelValues("POST", "/v1/media", "499")), 0)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
