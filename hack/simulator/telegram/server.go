package telegram

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/control"
)

// Server is one simulated Telegram. Make one with New and Close it.
type Server struct {
	opt Options

	// mu guards everything below and all bots, chats and users: one lock is
	// enough for a test double and makes "what happened first" well defined.
	mu      sync.Mutex
	bots    map[int64]*Bot
	users   map[int64]*userState
	groups  map[int64]*groupState
	files   fileStore
	calls   ring[Call]
	rnd     *rand.Rand
	nextID  int64 // users and groups made without an id
	changes *control.Changes
	closed  bool

	done    context.Context // over when the server is closed
	stop    context.CancelFunc
	running sync.WaitGroup // webhook deliveries
}

// New makes a Server. It panics on an invalid BotSpec, which is a mistake in a
// test or was checked by the program before.
func New(opt Options) *Server {
	opt.setDefaults()
	s := &Server{
		opt:    opt,
		bots:   map[int64]*Bot{},
		users:  map[int64]*userState{},
		groups: map[int64]*groupState{},
		calls:  newRing[Call](opt.Memory.Calls),
		rnd:    rand.New(rand.NewPCG(opt.Seed, opt.Seed)),
		nextID: 1_000_000 + opt.FirstID,
	}
	s.changes = control.NewChanges(&s.mu)
	s.files.init(opt.Memory.FileBytes)
	s.done, s.stop = context.WithCancel(context.Background())
	for _, spec := range opt.Bots {
		if _, err := s.AddBot(spec); err != nil {
			panic(err)
		}
	}
	return s
}

// Close ends deliveries and long polls and waits for them.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
}

// Handler serves the Bot API: /bot<token>/<method> and
// /file/bot<token>/<path>.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// tokenPattern is the form of a token. The public endpoint answers 404 to
// anything else and 401 to a token of this form that no bot has.
var tokenPattern = regexp.MustCompile(`^[1-9][0-9]{0,18}:[A-Za-z0-9_-]{24,80}$`)

// AddBot creates a bot. The secret must have at least 24 characters of
// A-Z a-z 0-9 _ -, as real ones do (35).
func (s *Server) AddBot(spec BotSpec) (*Bot, error) {
	token := fmt.Sprintf("%d:%s", spec.ID, spec.Secret)
	if spec.ID <= 0 || !tokenPattern.MatchString(token) {
		return nil, fmt.Errorf("bot %d: a token is a positive id, a colon and at least 24 characters of A-Z a-z 0-9 _ -", spec.ID)
	}
	if spec.Username == "" {
		return nil, fmt.Errorf("bot %d: a bot has a username", spec.ID)
	}
	if spec.Name == "" {
		spec.Name = spec.Username
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bots[spec.ID] != nil {
		return nil, fmt.Errorf("bot %d: exists", spec.ID)
	}
	b := newBot(s, spec)
	s.bots[spec.ID] = b
	s.notify()
	return b, nil
}

// Bot returns the bot with this id, or nil.
func (s *Server) Bot(id int64) *Bot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bots[id]
}

// Bots returns all bots by id.
func (s *Server) Bots() []*Bot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*Bot, 0, len(s.bots))
	for _, b := range s.bots {
		out = append(out, b)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].user.ID < out[j].user.ID })
	return out
}

// now is the server's time as the API shows it: whole seconds.
func (s *Server) now() int64 { return s.opt.Now().Unix() }

// notify wakes everybody in wait. The caller holds mu.
func (s *Server) notify() { s.changes.Notify() }

// wait blocks until cond, called with mu held, is true or ctx is over.
func (s *Server) wait(ctx context.Context, cond func() bool) error {
	return s.changes.Wait(ctx, s.done, cond)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/file/bot"); ok {
		s.serveFile(w, r, rest)
		return
	}
	rest, ok := strings.CutPrefix(path, "/bot")
	token, method, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || !tokenPattern.MatchString(token) {
		writeError(w, &apiError{Code: 404, Description: "Not Found"})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		writeError(w, &apiError{Code: 405, Description: "Method Not Allowed"})
		return
	}
	b := s.botByToken(token)
	if b == nil {
		writeError(w, &apiError{Code: 401, Description: "Unauthorized"})
		return
	}
	s.serveMethod(w, r, b, method)
}

func (s *Server) botByToken(token string) *Bot {
	idText, secret, _ := strings.Cut(token, ":")
	id, err := strconv.ParseInt(idText, 10, 64)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.bots[id]; b != nil && b.secret == secret {
		return b
	}
	return nil
}

// serveMethod runs one call: parse, faults, method, log.
func (s *Server) serveMethod(w http.ResponseWriter, r *http.Request, b *Bot, name string) {
	start := time.Now()
	c := &call{server: s, bot: b, ctx: r.Context(), method: strings.ToLower(name)}
	err := c.parse(w, r)
	if c.method == "" {
		c.method = strings.ToLower(c.arg("method"))
	}
	if m, known := methods[c.method]; known {
		c.method, c.spec = m.name, m
	}
	fault := s.takeFault(b, c)
	var result any
	var description string
	if err == nil {
		result, description, err = s.runWithFault(c, fault)
	}
	entry := c.logEntry(err, fault, time.Since(start))
	s.record(entry)
	if fault != nil && fault.after(w, r) {
		return
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, struct {
		OK          bool   `json:"ok"`
		Result      any    `json:"result"`
		Description string `json:"description,omitempty"`
	}{true, result, description})
}

// run executes a call, with the lock held unless the method waits itself.
func (s *Server) run(c *call) (any, string, *apiError) {
	if c.spec == nil {
		return nil, "", &apiError{Code: 404, Description: "Not Found"}
	}
	if c.spec.run == nil {
		return nil, "", &apiError{Code: 501, Description: "Not Implemented: the simulator does not play " + c.spec.name}
	}
	if err := c.fetchURLs(); err != nil {
		return nil, "", err
	}
	if !c.spec.waits {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	result, err := c.spec.run(c)
	if err == nil && !c.spec.waits {
		s.notify()
	}
	return result, c.description, err
}

func writeError(w http.ResponseWriter, err *apiError) {
	if err.Parameters != nil && err.Parameters.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(err.Parameters.RetryAfter))
	}
	writeJSON(w, err.Code, err)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone: there is nobody to tell
}

// ring keeps the last n values.
type ring[T any] struct {
	max    int
	values []T
	total  int64 // how many were ever added
}

func newRing[T any](n int) ring[T] { return ring[T]{max: n} }

func (r *ring[T]) add(v T) {
	// Cutting a quarter at a time keeps the cost of a full ring constant per add.
	if len(r.values) >= r.max+r.max/4 {
		r.values = append([]T(nil), r.values[len(r.values)-r.max+1:]...)
	}
	r.values = append(r.values, v)
	r.total++
}

func (r *ring[T]) all() []T {
	from := max(0, len(r.values)-r.max)
	return append([]T(nil), r.values[from:]...)
}
