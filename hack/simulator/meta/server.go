package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/control"
)

// Server is one simulated Meta. Make one with New and Close it.
type Server struct {
	opt Options

	// mu guards everything below: one lock is enough for a test double and makes
	// "what happened first" well defined.
	mu         sync.Mutex
	apps       map[string]*app
	accounts   map[string]*account
	tokens     map[string]*token
	media      map[string]file
	mediaOrder []string
	calls      []Call
	callSeq    int64
	deliveries []Delivery
	faults     []*Fault
	usage      Usage
	nextID     int64
	mediaBase  string
	changes    *control.Changes

	done    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// app is a Meta app.
type app struct {
	AppSpec
	subscriptions map[string]*subscription // by object
	held          bool                     // webhooks wait for Release
	waiting       []event
	lanes         map[string][]event // first attempts that wait for the one before
}

type subscription struct {
	CallbackURL string
	Fields      []string
	verifyToken string
}

// token is an access token of an account.
type token struct {
	app     string
	account string
	expires int64
	scopes  []string
}

// New makes a Server. It panics on a spec that cannot be, which is a mistake in a test.
func New(opt Options) *Server {
	opt.setDefaults()
	s := &Server{
		opt: opt, apps: map[string]*app{}, accounts: map[string]*account{}, tokens: map[string]*token{},
		media: map[string]file{}, nextID: opt.FirstID, mediaBase: opt.MediaURL,
	}
	s.changes = control.NewChanges(&s.mu)
	s.done, s.stop = context.WithCancel(context.Background())
	for _, a := range opt.Apps {
		if err := s.AddApp(a); err != nil {
			panic(err)
		}
	}
	for _, a := range opt.Accounts {
		if err := s.AddAccount(a); err != nil {
			panic(err)
		}
	}
	return s
}

// Close ends deliveries and waits for them.
func (s *Server) Close() {
	s.stop()
	s.running.Wait()
	s.opt.Client.CloseIdleConnections()
}

// AddApp makes an app.
func (s *Server) AddApp(spec AppSpec) error {
	if !digits(spec.ID) || spec.Secret == "" {
		return fmt.Errorf("app %q: an app has an id of digits and a secret", spec.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apps[spec.ID] != nil {
		return fmt.Errorf("app %s: exists", spec.ID)
	}
	s.apps[spec.ID] = &app{AppSpec: spec, subscriptions: map[string]*subscription{}, lanes: map[string][]event{}}
	return nil
}

// AddAccount makes a page or an Instagram account, with its token.
func (s *Server) AddAccount(spec AccountSpec) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !digits(spec.ID):
		return fmt.Errorf("account %q: an account has an id of digits", spec.ID)
	case s.accounts[spec.ID] != nil:
		return fmt.Errorf("account %s: exists", spec.ID)
	case spec.Page != "" && (!spec.Instagram || s.accounts[spec.Page] == nil):
		return fmt.Errorf("account %s: only an Instagram account is linked to a page, which exists before it", spec.ID)
	case spec.Token != "" && s.apps[spec.App] == nil:
		return fmt.Errorf("account %s: its token is of app %q, which does not exist", spec.ID, spec.App)
	}
	if spec.Name == "" {
		spec.Name = "account" + spec.ID
	}
	if spec.Scopes == nil {
		spec.Scopes = []string{"pages_messaging", "pages_manage_metadata", "instagram_basic", "instagram_manage_messages"}
	}
	a := &account{AccountSpec: spec, subscribed: map[string][]string{}, profile: map[string]json.RawMessage{}, threads: map[string]*thread{}, uploads: map[string]string{}}
	s.accounts[spec.ID] = a
	if spec.Page != "" {
		s.accounts[spec.Page].linked = spec.ID
	}
	if spec.Token != "" {
		s.tokens[spec.Token] = &token{app: spec.App, account: spec.ID, expires: spec.ExpiresAt, scopes: spec.Scopes}
	}
	return nil
}

// Revoke ends an account's tokens; next, if not empty, is its new one.
func (s *Server) Revoke(id, next string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[id]
	if a == nil {
		return fmt.Errorf("account %s: not found", id)
	}
	for value, t := range s.tokens {
		if t.account == id {
			delete(s.tokens, value)
		}
	}
	if next != "" {
		s.tokens[next] = &token{app: a.App, account: id, scopes: a.Scopes}
	}
	return nil
}

// RotateSecret gives an app a new secret: signatures and proofs are made with
// it from now on.
func (s *Server) RotateSecret(id, secret string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.apps[id] == nil || secret == "" {
		return fmt.Errorf("app %s: not found, or the secret is empty", id)
	}
	s.apps[id].Secret = secret
	return nil
}

func digits(s string) bool {
	return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == ""
}

// notify wakes everybody in wait. The caller holds mu.
func (s *Server) notify() { s.changes.Notify() }

// wait blocks until cond, called with mu held, is true or ctx is over.
func (s *Server) wait(ctx context.Context, cond func() bool) error {
	return s.changes.Wait(ctx, s.done, cond)
}

// id makes an id that no other thing has. The caller holds mu.
func (s *Server) id() int64 {
	s.nextID++
	return s.nextID
}

func (s *Server) millis() int64 { return s.opt.Now().UnixMilli() }

// Call is one call of the Graph API as the log keeps it. Tokens never appear.
type Call struct {
	Seq     int64           `json:"seq"`
	Time    time.Time       `json:"time"`
	Method  string          `json:"method"`
	Path    string          `json:"path"` // below the version
	Params  json.RawMessage `json:"params,omitempty"`
	Status  int             `json:"status"` // 0: not answered
	Code    int             `json:"code,omitempty"`
	Subcode int             `json:"subcode,omitempty"`
	Fault   FaultKind       `json:"fault,omitempty"`
	// TokenInURL says that the caller put its token where logs keep it.
	TokenInURL bool `json:"tokenInURL,omitempty"`
	Proof      bool `json:"proof"` // there was an appsecret_proof, and it was right
}

func (s *Server) record(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callSeq++
	c.Seq, c.Time = s.callSeq, s.opt.Now()
	s.calls = keep(append(s.calls, c), keepCalls)
	s.notify()
	s.opt.Log.Debug("call", "method", c.Method, "path", c.Path, "status", c.Status, "code", c.Code, "subcode", c.Subcode, "fault", c.Fault)
}

// Calls returns the calls after a sequence number whose path ends so, oldest first.
func (s *Server) Calls(suffix string, after int64) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.callsLocked(suffix, after)
}

func (s *Server) callsLocked(suffix string, after int64) []Call {
	out := []Call{}
	for _, c := range s.calls {
		if c.Seq > after && strings.HasSuffix(c.Path, suffix) {
			out = append(out, c)
		}
	}
	return out
}

// WaitCalls waits for n such calls.
func (s *Server) WaitCalls(ctx context.Context, suffix string, after int64, n int) (out []Call, err error) {
	err = s.wait(ctx, func() bool { out = s.callsLocked(suffix, after); return len(out) >= n })
	return out, err
}

// keep drops the oldest of a list; a quarter at a time, so that a full list
// costs little per add.
func keep[T any](list []T, n int) []T {
	if len(list) > n+n/4 {
		return append([]T(nil), list[len(list)-n:]...)
	}
	return list
}

// Handler serves the Graph API below /v<number>, and people's files below
// /media/. Handles says which paths are its own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Handles says whether a path is one of Handler's.
func Handles(path string) bool {
	return strings.HasPrefix(path, mediaPath) || versionOf(path) != ""
}

// versionOf is the first segment of a path that is a version, such as v25.0.
func versionOf(path string) string {
	v, _, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	major, minor, ok2 := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	if !ok || !ok2 || v == "" || v[0] != 'v' || !digits(major) || !digits(minor) {
		return ""
	}
	return v
}
