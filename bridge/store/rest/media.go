package rest

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	mediaPath = "/v1/media/"
	// maxUpload bounds an outbound attachment: the largest that a platform takes
	// is a WhatsApp document of 100 MB.
	maxUpload = 100 << 20
	// mediaTimeout bounds an upload or download: 100 MiB at 350 kB/s.
	mediaTimeout = 5 * time.Minute
)

func (a *API) registerMedia() {
	get := operation(http.MethodGet, mediaPath+"{id}", "get-media", "Media", "The bytes of an attachment", document.AccessRead, 404)
	get.Description = "Always as a download (Content-Disposition: attachment). Types that a browser would run are " +
		"application/octet-stream. Needs access read."
	get.Responses = map[string]*huma.Response{"200": {
		Description: "The bytes", Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	huma.Register(a.huma, get, a.getMedia)

	upload := operation(http.MethodPost, "/v1/media", "upload-media", "Media", "Upload an attachment to send", document.AccessWrite, 404, 409, 413)
	upload.Description = "The body is the file. Name the answer's id in a message to send; an upload that no message names is removed after a while. Needs access write."
	upload.DefaultStatus = http.StatusCreated
	upload.RequestBody = &huma.RequestBody{
		Required: true, Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
	huma.Register(a.huma, upload, a.uploadMedia)
}

// streamed is an output that a function writes.
type streamed struct{ Body func(huma.Context) }

func (a *API) getMedia(ctx context.Context, in *IDParam) (*streamed, error) {
	meta, body, err := a.engine.OpenMedia(ctx, scopeOf(ctx), in.ID)
	if err != nil {
		return nil, a.problemOf(err, "path")
	}
	x := exchangeOf(ctx)
	return &streamed{Body: func(huma.Context) { serveMedia(x, meta, body) }}, nil
}

func serveMedia(x *exchange, meta store.MediaMeta, body io.ReadCloser) {
	defer body.Close()
	control := http.NewResponseController(x.w)
	_ = control.SetReadDeadline(time.Time{}) // unsupported only without a connection
	_ = control.SetWriteDeadline(time.Now().Add(mediaTimeout))
	h := x.w.Header()
	h.Set("Content-Type", safeType(meta.MimeType))
	h.Set("Content-Disposition", wire.Disposition(meta.Name))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if seeker, ok := body.(io.ReadSeeker); ok {
		http.ServeContent(x.w, x.r, "", time.Time{}, seeker) // ranges: players seek
		return
	}
	if meta.Size > 0 {
		h.Set("Content-Length", strconv.FormatInt(meta.Size, 10))
	}
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(x.w, body); err != nil {
		panic(http.ErrAbortHandler) // half a file must not look whole
	}
}

// safeType lets through what a browser shows without running it. The type of
// an attachment is what its sender claimed: HTML, SVG and XML could carry a
// script onto this origin, so everything else is just bytes.
func safeType(claimed string) string {
	mediaType, _, err := mime.ParseMediaType(claimed)
	if err != nil {
		return "application/octet-stream"
	}
	kind, sub, _ := strings.Cut(mediaType, "/")
	switch {
	case kind == "image" && sub != "svg+xml" && !strings.HasSuffix(sub, "xml"),
		kind == "audio", kind == "video",
		mediaType == "application/pdf", mediaType == "text/plain":
		return mediaType
	}
	return "application/octet-stream"
}

type uploadInput struct {
	KeyParam
	Namespace   string `query:"namespace" required:"true" minLength:"1" maxLength:"63" doc:"The namespace of the conversation that it is for."`
	Name        string `query:"name" maxLength:"255" doc:"File name as the contact shall see it."`
	ContentType string `header:"Content-Type" maxLength:"128"`
}

// Upload is what an upload is answered with.
type Upload struct {
	ID  string `json:"id" doc:"Name it as mediaId of an attachment."`
	URL string `json:"url"`
}

type uploadOutput struct {
	Location string `header:"Location"`
	Body     Upload
}

func (a *API) uploadMedia(ctx context.Context, in *uploadInput) (*uploadOutput, error) {
	x := exchangeOf(ctx)
	if x.r.ContentLength > maxUpload {
		return nil, a.problemOf(&http.MaxBytesError{Limit: maxUpload}, "body")
	}
	control := http.NewResponseController(x.w)
	_ = control.SetReadDeadline(time.Now().Add(mediaTimeout)) // unsupported only without a connection
	_ = control.SetWriteDeadline(time.Now().Add(mediaTimeout))
	meta := store.MediaMeta{MimeType: in.ContentType, Name: in.Name, Size: x.r.ContentLength}
	id, err := a.engine.UploadMedia(ctx, in.scope(ctx, "upload", in.Namespace, in.Name, in.ContentType), in.Namespace, meta, http.MaxBytesReader(x.w, x.r.Body, maxUpload))
	var field *store.FieldError
	if errors.As(err, &field) && field.Field == "body" { // the store's own limit
		return nil, huma.NewError(http.StatusRequestEntityTooLarge, "the body "+field.Message)
	}
	if err != nil {
		return nil, a.problemOf(err, "query")
	}
	return &uploadOutput{Location: mediaPath + id, Body: Upload{ID: id, URL: mediaPath + id}}, nil
}
