package rest

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/problem"
)

// verbMux is a ServeMux that knows verbs: paths whose last segment ends in
// ":verb", as in /v1/conversations/{id}:assign. A ServeMux wildcard is a whole
// segment, so the verb gets one of its own on the way in, in patterns and in
// requests alike: /v1/conversations/{id}/:assign. The API's description keeps
// the public form.
type verbMux struct {
	mux    *http.ServeMux
	verbs  map[string]bool
	public map[string]string // ServeMux pattern → public pattern, "METHOD /path"
}

func newVerbMux() *verbMux {
	return &verbMux{mux: http.NewServeMux(), verbs: map[string]bool{}, public: map[string]string{}}
}

// HandleFunc implements humago.Mux.
func (m *verbMux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	inner := pattern
	if rest, verb, ok := cutVerb(pattern); ok {
		m.verbs[verb] = true
		inner = rest + "/:" + verb
	}
	m.public[inner] = pattern
	m.mux.HandleFunc(inner, handler)
}

// ServeHTTP implements humago.Mux.
func (m *verbMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, pattern := m.route(r)
	if pattern == "" {
		m.refuse(w, r)
		return
	}
	m.mux.ServeHTTP(w, r)
}

// route returns the request as the inner mux wants it, and the public pattern
// that matches it, empty when none does.
func (m *verbMux) route(r *http.Request) (*http.Request, string) {
	// Only clean paths (ServeMux would redirect the others), and not the inner form.
	if path.Clean(r.URL.Path) != r.URL.Path || strings.Contains(r.URL.EscapedPath(), "/:") {
		return r, ""
	}
	if rest, verb, ok := cutVerb(r.URL.EscapedPath()); ok && m.verbs[verb] {
		if unescaped, err := url.PathUnescape(rest); err == nil {
			inner, target := *r, *r.URL
			target.Path, target.RawPath = unescaped+"/:"+verb, rest+"/:"+verb
			inner.URL = &target
			r = &inner
		}
	}
	_, pattern := m.mux.Handler(r)
	return r, m.public[pattern]
}

// refuse answers what ServeMux would answer in plain text: 405 with Allow for
// a path that exists, else 404. Redirects to a clean path are 404 too.
func (m *verbMux) refuse(w http.ResponseWriter, r *http.Request) {
	answer := &headerOnly{header: http.Header{}}
	if handler, pattern := m.mux.Handler(r); pattern == "" {
		handler.ServeHTTP(answer, r)
	}
	if answer.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", answer.header.Get("Allow"))
		problem.Write(w, http.StatusMethodNotAllowed, "this path does not have the method "+methodName(r.Method)+"; see /openapi.json")
		return
	}
	problem.Write(w, http.StatusNotFound, "no such path; see /openapi.json")
}

// methodName keeps invented methods of any length out of answers.
func methodName(method string) string {
	if len(method) > 16 {
		return method[:16] + "…"
	}
	return method
}

// cutVerb splits "…/x:verb" into "…/x" and "verb".
func cutVerb(path string) (rest, verb string, ok bool) {
	colon, slash := strings.LastIndexByte(path, ':'), strings.LastIndexByte(path, '/')
	if colon < 0 || colon < slash+2 || colon == len(path)-1 {
		return "", "", false
	}
	return path[:colon], path[colon+1:], true
}

// headerOnly takes an answer's status and headers and drops its body.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header { return h.header }
func (h *headerOnly) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *headerOnly) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return len(b), nil
}
