package meta

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// graphError is a refusal in Meta's envelope.
type graphError struct {
	Status  int
	Message string
	Type    string
	Code    int
	Subcode int
}

func refuse(code, subcode int, format string, args ...any) *graphError {
	e := &graphError{Status: http.StatusBadRequest, Message: fmt.Sprintf("(#%d) ", code) + fmt.Sprintf(format, args...), Type: "OAuthException", Code: code, Subcode: subcode}
	switch code {
	case 190:
		e.Status = http.StatusUnauthorized
	case 10, 200:
		e.Status = http.StatusForbidden
	case 1, 2:
		e.Status = http.StatusInternalServerError
	}
	return e
}

func invalid(format string, args ...any) *graphError { return refuse(100, 0, format, args...) }

func (e *graphError) write(w http.ResponseWriter) {
	body := map[string]any{"message": e.Message, "type": e.Type, "code": e.Code, "fbtrace_id": "AbCdEfGhIjKlMnOpQrStUv"}
	if e.Subcode != 0 {
		body["error_subcode"] = e.Subcode
	}
	writeJSON(w, e.Status, map[string]any{"error": body})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client has gone: nobody to tell
}

// call is one call of the API.
type call struct {
	s       *Server
	method  string // as meant: a POST with method=GET is a GET
	path    string // below the version
	params  map[string]json.RawMessage
	upload  *file
	app     *app
	account *account // of the token; nil: the app's own token
	scopes  []string
	raw     string // the token
	entry   Call
}

// maxBody bounds a request: the largest file and its form.
const maxBody = 26 << 20

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.learnBase(r)
	if strings.HasPrefix(r.URL.Path, mediaPath) {
		s.serveMedia(w, r)
		return
	}
	version := versionOf(r.URL.Path)
	if version == "" {
		invalid("Unknown path components: %s", r.URL.Path).write(w)
		return
	}
	c := &call{s: s, method: r.Method, path: strings.Trim(strings.TrimPrefix(r.URL.Path, "/"+version), "/"), params: map[string]json.RawMessage{}}
	c.entry = Call{Path: c.path}
	result, err := c.run(w, r)
	c.entry.Method, c.entry.Params = c.method, c.logged()
	if err == errAnswered {
		s.record(c.entry)
		return
	}
	c.usageHeaders(w)
	if err != nil {
		c.entry.Status, c.entry.Code, c.entry.Subcode = err.Status, err.Code, err.Subcode
		s.record(c.entry)
		err.write(w)
		return
	}
	c.entry.Status = http.StatusOK
	s.record(c.entry)
	writeJSON(w, http.StatusOK, result)
}

// errAnswered says that a fault has ended the exchange already.
var errAnswered = &graphError{}

func (c *call) run(w http.ResponseWriter, r *http.Request) (any, *graphError) {
	if err := c.parse(w, r); err != nil {
		return nil, err
	}
	if err := c.authenticate(r); err != nil {
		return nil, err
	}
	f := c.s.takeFault(c)
	if f != nil {
		c.entry.Fault = f.Kind
		if err, over := f.before(w, r); over {
			return nil, err
		}
	}
	result, err := c.dispatch()
	if f != nil && f.after(w, r) {
		return nil, errAnswered
	}
	return result, err
}

// parse reads parameters from the query and from a JSON, form or multipart body.
func (c *call) parse(w http.ResponseWriter, r *http.Request) *graphError {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	c.addForm(r.URL.Query())
	c.entry.TokenInURL = r.URL.Query().Has("access_token") || r.URL.Query().Has("input_token")
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return invalid("The body cannot be read")
		}
		var object map[string]json.RawMessage
		if len(body) > 0 && json.Unmarshal(body, &object) != nil {
			return invalid("Invalid JSON")
		}
		for name, value := range object {
			c.params[name] = value
		}
	case "multipart/form-data":
		if err := c.parseMultipart(r); err != nil {
			return err
		}
	case "application/x-www-form-urlencoded":
		if r.ParseForm() != nil {
			return invalid("Invalid form")
		}
		c.addForm(r.PostForm)
	}
	if m := c.text("method"); m != "" && r.Method == http.MethodPost {
		c.method = strings.ToUpper(m)
		delete(c.params, "method")
	}
	return nil
}

// addForm takes values that are JSON as such; everything else is text.
func (c *call) addForm(values url.Values) {
	for name, list := range values {
		raw := json.RawMessage(list[0])
		if t := strings.TrimSpace(list[0]); (!strings.HasPrefix(t, "{") && !strings.HasPrefix(t, "[")) || !json.Valid(raw) {
			raw, _ = json.Marshal(list[0]) // text: it cannot fail
		}
		c.params[name] = raw
	}
}

func (c *call) parseMultipart(r *http.Request) *graphError {
	form, err := r.MultipartReader()
	if err != nil {
		return invalid("Invalid multipart form")
	}
	for {
		part, err := form.NextPart()
		if err == io.EOF { //nolint:errorlint // NextPart returns it bare
			return nil
		}
		if err != nil {
			return invalid("The form breaks off")
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return invalid("The form breaks off")
		}
		if part.FileName() != "" {
			c.upload = &file{name: part.FileName(), mimeType: part.Header.Get("Content-Type"), data: data}
			continue
		}
		c.addForm(url.Values{part.FormName(): {string(data)}})
	}
}

// text is a parameter that is a text or a number.
func (c *call) text(name string) string {
	raw := c.params[name]
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return strings.Trim(string(raw), `"`)
}

// logged are the parameters without what is secret.
func (c *call) logged() json.RawMessage {
	for _, name := range []string{"access_token", "input_token", "appsecret_proof", "verify_token"} {
		delete(c.params, name)
	}
	if len(c.params) == 0 {
		return nil
	}
	raw, _ := json.Marshal(c.params) // raw JSON: it cannot fail
	return raw
}

// authenticate finds whose token it is and checks the proof.
func (c *call) authenticate(r *http.Request) *graphError {
	c.raw = strings.TrimSpace(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer"))
	if t := c.text("access_token"); t != "" {
		c.raw = t
	}
	if c.raw == "" {
		return refuse(104, 0, "An access token is required to request this resource.")
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, secret, isApp := strings.Cut(c.raw, "|"); isApp {
		a := s.apps[id]
		if a == nil || a.Secret != secret {
			return refuse(190, 0, "Invalid OAuth access token signature.")
		}
		c.app = a
	} else {
		t := s.tokens[c.raw]
		if t == nil {
			return refuse(190, 460, "Error validating access token: The session has been invalidated because the user changed their password.")
		}
		if t.expires != 0 && s.opt.Now().Unix() >= t.expires {
			return refuse(190, 463, "Error validating access token: Session has expired.")
		}
		c.app, c.account, c.scopes = s.apps[t.app], s.accounts[t.account], t.scopes
	}
	given, sent := c.text("appsecret_proof"), c.params["appsecret_proof"] != nil
	want := proofOf(c.raw, c.app.Secret)
	c.entry.Proof = sent && given == want
	switch {
	case sent && given != want:
		e := invalid("Invalid appsecret_proof provided in the API argument")
		e.Type = "GraphMethodException"
		return e
	case !sent && c.app.RequireProof:
		e := invalid("API calls from the server require an appsecret_proof argument")
		e.Type = "GraphMethodException"
		return e
	}
	return nil
}

func proofOf(token, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(token))
	return hex.EncodeToString(mac.Sum(nil))
}

// dispatch finds the edge of the path.
func (c *call) dispatch() (any, *graphError) {
	node, edge, _ := strings.Cut(c.path, "/")
	switch {
	case node == "debug_token" && edge == "":
		return c.debugToken()
	case edge == "subscriptions":
		return c.subscriptions(node) // it calls the webhook: it takes the lock itself
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	target := c.node(node)
	if target == nil {
		return nil, invalid("Unsupported request. Object with ID '%s' does not exist, cannot be loaded due to missing permissions, or does not support this operation.", node)
	}
	defer c.s.notify()
	switch edge {
	case "":
		return c.describe(target)
	case "subscribed_apps":
		return c.subscribedApps(target)
	case "messages":
		return c.messages(target)
	case "message_attachments":
		return c.attachments(target)
	case "messenger_profile":
		return c.messengerProfile(target)
	}
	return nil, invalid("Unknown path components: /%s", edge)
}

// node is the account of a path: the token's own, or the Instagram account
// that its page is linked to.
func (c *call) node(id string) *account {
	if c.account == nil {
		return nil
	}
	if id == "me" || id == c.account.ID {
		return c.account
	}
	if c.account.linked == id {
		return c.s.accounts[id]
	}
	return nil
}

// describe answers /me and /{account}.
func (c *call) describe(a *account) (any, *graphError) {
	if c.method != http.MethodGet {
		return nil, invalid("Unsupported %s request.", strings.ToLower(c.method))
	}
	out := map[string]any{"id": a.ID}
	for _, f := range strings.FieldsFunc(c.text("fields"), func(r rune) bool { return r == ',' || r == '{' || r == '}' }) {
		switch f {
		case "name":
			out["name"] = a.Name
		case "user_id":
			out["user_id"] = a.ID
			out["id"] = "app-scoped-" + a.ID // the id of /me is another one with Instagram Login
		case "username":
			if a.Instagram {
				out["username"] = a.Name
			}
		case "instagram_business_account":
			if linked := c.s.accounts[a.linked]; linked != nil {
				out[f] = map[string]any{"id": linked.ID, "username": linked.Name}
			}
		case "id":
		default:
			return nil, invalid("Tried accessing nonexisting field (%s)", f)
		}
	}
	return out, nil
}

func (c *call) debugToken() (any, *graphError) {
	if c.method != http.MethodGet || c.account != nil {
		return nil, invalid("You must provide an app access token, or a user access token that is an owner or developer of the app")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	t := c.s.tokens[c.text("input_token")]
	data := map[string]any{"app_id": c.app.ID, "is_valid": false, "scopes": []string{}}
	switch {
	case t == nil:
		data["error"] = map[string]any{"code": 190, "message": "The access token could not be decrypted"}
	case t.app != c.app.ID:
		return nil, invalid("The App_id in the input_token did not match the Viewing App")
	default:
		data["is_valid"] = t.expires == 0 || c.s.opt.Now().Unix() < t.expires
		data["expires_at"], data["scopes"] = t.expires, t.scopes
	}
	return map[string]any{"data": data}, nil
}

// Usage is what the usage headers tell, in percent, and minutes until an
// account may call again. At 100 and beyond calls are refused as well.
type Usage struct {
	App     int `json:"app"`
	Account int `json:"account"`
	Regain  int `json:"regainMinutes"`
}

// SetUsage sets what every call is told.
func (s *Server) SetUsage(u Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage = u
}

func (c *call) usageHeaders(w http.ResponseWriter) {
	c.s.mu.Lock()
	u := c.s.usage
	c.s.mu.Unlock()
	w.Header().Set("X-App-Usage", fmt.Sprintf(`{"call_count":%d,"total_cputime":0,"total_time":1}`, u.App))
	if c.account != nil {
		w.Header().Set("X-Business-Use-Case-Usage", fmt.Sprintf(`{"%s":[{"type":"messenger","call_count":%d,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":%d}]}`, c.account.ID, u.Account, u.Regain))
	}
}
