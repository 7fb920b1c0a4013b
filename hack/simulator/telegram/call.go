package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxUpload is the largest file that a bot can upload: 50 MB.
const maxUpload = 50 << 20

// maxBody leaves room for the other parameters beside the largest file.
const maxBody = maxUpload + 1<<20

// call is one call of a method: its parameters are texts, as on the wire
// (values that are not strings stay JSON).
type call struct {
	server      *Server
	bot         *Bot
	ctx         context.Context
	method      string
	spec        *method
	args        []arg
	files       map[string]*upload
	fetched     map[string]*upload // files that the bot named by URL
	description string             // of a successful answer; setWebhook has one
}

type arg struct{ name, value string }

// upload is a file that came with a call.
type upload struct {
	name, contentType string
	data              []byte
}

// arg returns a parameter, or "". The first of several with one name counts.
func (c *call) arg(name string) string {
	v, _ := c.lookup(name)
	return v
}

func (c *call) lookup(name string) (string, bool) {
	for _, a := range c.args {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

func (c *call) has(name string) bool { _, ok := c.lookup(name); return ok }

// flag reads a boolean: true, yes or 1.
func (c *call) flag(name string) bool {
	switch strings.ToLower(strings.TrimSpace(c.arg(name))) {
	case "true", "yes", "1":
		return true
	}
	return false
}

// integer reads a number into bounds; what is no number counts as 0, as in the
// real server.
func (c *call) integer(name string, def, low, high int) int {
	text := c.arg(name)
	if text == "" {
		return min(max(def, low), high)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(text))
	return min(max(n, low), high)
}

// messageID reads a message id; 0 when there is none or it is not positive.
func (c *call) messageID(name string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(c.arg(name)), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// required returns a parameter that must not be empty.
func (c *call) required(name string) (string, *apiError) {
	v := c.arg(name)
	if v == "" {
		return "", badRequest("Parameter %q is required", name)
	}
	return v, nil
}

// parse reads the query string and the body: JSON, form or multipart.
func (c *call) parse(w http.ResponseWriter, r *http.Request) *apiError {
	c.addForm(r.URL.RawQuery)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &apiError{Code: 413, Description: "Request Entity Too Large"}
	}
	if err != nil {
		return badRequest("Bad Request: can't read the request body")
	}
	mediaType, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var bad *apiError
	switch mediaType {
	case "application/json":
		bad = c.parseJSON(body)
	case "multipart/form-data":
		bad = c.parseMultipart(body, params["boundary"])
	case "application/x-www-form-urlencoded":
		c.addForm(string(body))
	}
	if bad != nil {
		return bad
	}
	for _, a := range c.args {
		if !utf8.ValidString(a.value) {
			return badRequest("Strings must be encoded in UTF-8")
		}
	}
	return nil
}

// addForm adds parameters in the order they were sent.
func (c *call) addForm(encoded string) {
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		c.args = append(c.args, arg{unescape(key), unescape(value)})
	}
}

// unescape decodes a form value; the real server keeps what it cannot decode.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

func (c *call) parseJSON(body []byte) *apiError {
	if len(body) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') {
		return badRequest("Bad Request: JSON object expected")
	}
	for dec.More() {
		key, err := dec.Token()
		name, isText := key.(string)
		if err != nil || !isText {
			return badRequest("Bad Request: can't parse parameter name: Opening '\"' expected")
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return badRequest("Bad Request: can't parse parameter value: Unexpected symbol")
		}
		value := string(raw)
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &value) // Decode has checked it
		}
		c.args = append(c.args, arg{name, value})
	}
	if _, err := dec.Token(); err != nil {
		return badRequest("Bad Request: expected next field name or object end")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("Bad Request: unexpected data after object end")
	}
	return nil
}

func (c *call) parseMultipart(body []byte, boundary string) *apiError {
	if boundary == "" {
		return badRequest("Bad Request: boundary not found")
	}
	// Some client libraries announce multipart and send nothing when a method
	// has no parameters; the real server accepts that.
	if len(body) == 0 {
		return nil
	}
	c.files = map[string]*upload{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return badRequest("Bad Request: can't parse form data headers")
		}
		if bad := c.addPart(part); bad != nil {
			return bad
		}
	}
}

func (c *call) addPart(part *multipart.Part) *apiError {
	name := part.FormName()
	if name == "" {
		return badRequest("Bad Request: field name in multipart/form-data not found")
	}
	data, err := io.ReadAll(part)
	if err != nil {
		return badRequest("Bad Request: unexpected end of the request body")
	}
	if _, params, _ := mime.ParseMediaType(part.Header.Get("Content-Disposition")); params["filename"] == "" {
		c.args = append(c.args, arg{name, string(data)})
		return nil
	}
	if len(data) > maxUpload {
		return &apiError{Code: 413, Description: "Request Entity Too Large"}
	}
	if c.files[name] == nil {
		c.files[name] = &upload{name: part.FileName(), contentType: part.Header.Get("Content-Type"), data: data}
	}
	return nil
}
