package wire

import (
	"mime"
	"net/http"
	"strconv"
)

// HeaderLease carries MediaJob.Lease with PUT PathMedia.
const HeaderLease = "Bridgekeeper-Lease"

// SetMediaHeaders describes the bytes of a body: its type, its file name
// (Content-Disposition, RFC 6266) and, when it is known, its size.
func SetMediaHeaders(h http.Header, mimeType, name string, size int64) {
	if mimeType == "" {
		mimeType = "application/octet-stream"
	}
	h.Set("Content-Type", mimeType)
	h.Set("Content-Disposition", Disposition(name))
	if size > 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
}

// MediaHeaders reads what SetMediaHeaders wrote; what is malformed is empty.
func MediaHeaders(h http.Header) (mimeType, name string) {
	_, params, err := mime.ParseMediaType(h.Get("Content-Disposition"))
	if err == nil {
		name = params["filename"]
	}
	return h.Get("Content-Type"), name
}

// Disposition is a Content-Disposition that makes a browser save a file and
// not show it. A name that is not ASCII is encoded (RFC 2231).
func Disposition(name string) string {
	if name == "" {
		return "attachment"
	}
	if s := mime.FormatMediaType("attachment", map[string]string{"filename": name}); s != "" {
		return s
	}
	return "attachment"
}
