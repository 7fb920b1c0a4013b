package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

const (
	// maxBody bounds a JSON body: a text of 65 536 characters is at most
	// 256 KiB of UTF-8, and twice that when escaped.
	maxBody = 1 << 20
	// bodyTimeout bounds how long a JSON body may take to arrive.
	bodyTimeout = 15 * time.Second
	// retryAfter is what a client is told when nothing was committed.
	retryAfter = time.Second
)

// Engine is what REST needs of the store.
type Engine interface {
	store.Reader
	store.Writer
	store.Desk
	store.Explainer
	store.SurveyReader
	store.SurveyWriter
	store.ContactWriter
}

// Options of an API.
type Options struct {
	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics
	Version    string                // of the program, for the OpenAPI description
	Now        func() time.Time      // nil: time.Now
	// Heartbeat of event streams; 15 s when zero.
	Heartbeat time.Duration
}

// API is the handler of /v1 and /openapi.*. Serve it with NewServer, or with a
// server that has a WriteTimeout.
type API struct {
	engine   Engine
	log      *slog.Logger
	now      func() time.Time
	beat     time.Duration
	streams  streamLimit
	metrics  *metrics
	mux      *verbMux
	huma     huma.API
	draining context.Context
	drain    context.CancelFunc
}

// New makes the API of an engine.
func New(engine Engine, opts Options) (*API, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Heartbeat <= 0 {
		opts.Heartbeat = heartbeatEvery
	}
	a := &API{engine: engine, log: opts.Log, now: opts.Now, beat: opts.Heartbeat, metrics: newMetrics(opts.Registerer), mux: newVerbMux()}
	a.draining, a.drain = context.WithCancel(context.Background())
	a.huma = humago.New(a.mux, config(opts.Version))
	a.huma.UseMiddleware(a.authenticate)
	a.registerMessages()
	a.registerConversations()
	a.registerOwnership()
	a.registerAgents()
	a.registerQueues()
	a.registerContacts()
	a.registerRouting()
	a.registerSurveys()
	a.registerMedia()
	a.registerDeadLetters()
	a.registerEvents()
	a.registerRaw()
	return a, a.serveDescription()
}

// Drain ends event streams, now and from now on: the process is about to
// stop, and clients resume at another one, or at this one after its restart.
func (a *API) Drain() { a.drain() }

// NewServer makes a server with this API's timeouts. Handlers that take longer
// by nature (streams, media) extend the write timeout for themselves.
func NewServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // for bodies that nobody reads; who reads one has a deadline of its own
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}

// OpenAPI is the description of the API, as JSON or YAML. It needs no engine.
func OpenAPI(version string, yaml bool) ([]byte, error) {
	a, err := New(nil, Options{Version: version})
	if err != nil {
		return nil, err
	}
	if yaml {
		return a.huma.OpenAPI().YAML()
	}
	return json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}

// serveDescription encodes the description once, up front: requests come
// concurrently, and it never changes.
func (a *API) serveDescription() error {
	asJSON, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return fmt.Errorf("OpenAPI description: %w", err)
	}
	asYAML, err := a.huma.OpenAPI().YAML()
	if err != nil {
		return fmt.Errorf("OpenAPI description: %w", err)
	}
	for path, body := range map[string][]byte{"/openapi.json": asJSON, "/openapi.yaml": asYAML} {
		contentType := "application/openapi+" + path[len("/openapi."):]
		a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body) // fails only when the caller has left
		})
	}
	return nil
}

// config is written out, and not huma's default, which adds $schema links,
// a documentation page with scripts from elsewhere, and formats we do not test.
func config(version string) huma.Config {
	if version == "" {
		version = "dev"
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Bridgekeeper conversation store", Version: version, Description: description,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Tags: []*huma.Tag{
				{Name: "Messages"}, {Name: "Conversations"}, {Name: "Contacts"}, {Name: "Media"},
				{Name: "Agents", Description: "People who answer: who they are, whether they are there, what they are offered."},
				{Name: "Queues", Description: "What waits for agents."},
				{Name: "Surveys", Description: "What campaigns have asked, and what was answered."},
				{Name: "Dead letters", Description: "Outbound messages that will not be sent any more by themselves."},
				{Name: "Events", Description: "Everything that changes, in the order it was committed."},
				{Name: "Raw journal", Description: "What platforms sent, byte for byte. Needs admin access."},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "A token of the ConversationStore, from its Secret."},
				},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		// A misspelt filter would otherwise return everything.
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{hideContent},
	}
}

const description = `Conversations with customers on every connected platform.

**Access.** Send a token as ` + "`Authorization: Bearer …`" + `. It has namespaces and one of the accesses read, write (includes read)
and admin (includes both). What is outside its namespaces is 404, as if it did not exist.

**Pages.** Lists return ` + "`items`" + ` and ` + "`next`" + `, the cursor to pass as ` + "`after`" + `; without ` + "`next`" + ` there is no more for now.
Cursors are opaque.

**Errors** are problems as of RFC 9457; ` + "`errors[].location`" + ` names the field. 503 means that nothing was changed: try again after ` + "`Retry-After`" + `.

**Writes** take an ` + "`Idempotency-Key`" + `, remembered for a week: repeated with the same content, a write is not done again and answers with
what it made (a message, an upload) or with the conversation as it is by now; with other content it is 409. The verbs (` + "`:assign`" + ` and so on)
say how a conversation shall be, so that repeating one without a key only undoes what somebody else did since.`
