package traffic

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"strconv"
	"time"
)

// Sign is the value of X-Hub-Signature-256 for a body (Meta, "Webhooks:
// validating payloads").
func Sign(appSecret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// sign appends the signature of the body, as Sign has it.
func (w *worker) sign(to []byte) []byte {
	if w.mac == nil {
		w.mac = hmac.New(sha256.New, []byte(w.o.AppSecret))
	}
	w.mac.Reset()
	w.mac.Write(w.body)
	w.sum = w.mac.Sum(w.sum[:0])
	return hex.AppendEncode(append(to, "sha256="...), w.sum)
}

// build makes the request of a contact's next messages.
func (w *worker) build(contact, first int, now time.Time) {
	at := strconv.FormatInt(now.UnixMilli(), 10)
	b := append(w.body[:0], `{"object":"page","entry":[{"id":"`...)
	b = append(b, w.o.Page...)
	b = append(append(append(b, `","time":`...), at...), `,"messaging":[`...)
	for i := range w.o.Batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, `{"sender":{"id":"`...), contactID(contact), 10)
		b = append(append(b, `"},"recipient":{"id":"`...), w.o.Page...)
		b = append(append(append(b, `"},"timestamp":`...), at...), `,"message":{"mid":"`...)
		b = append(appendExternalID(b, contact, first+i), `","text":"Hello, where is my order? It was due yesterday and nobody has called. `...)
		b = append(strconv.AppendInt(b, int64(first+i), 10), `"}}`...)
	}
	w.body = append(b, `]}]}`...)
	r := append(w.request[:0], "POST "...)
	r = append(append(r, w.o.Path...), " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nUser-Agent: facebookexternalua\r\nX-Hub-Signature-256: "...)
	r = append(w.sign(r), "\r\nContent-Length: "...)
	r = append(strconv.AppendInt(r, int64(len(w.body)), 10), "\r\n\r\n"...)
	w.request = append(r, w.body...)
}

// connection is a kept-alive HTTP/1.1 connection.
type connection struct {
	conn     net.Conn
	in       *bufio.Reader
	deadline time.Time
}

// answerTimeout is what a platform waits for an answer; Meta does not say, 20 s
// is the most that is told of it. A deadline is set anew once it is a second old,
// as it costs as much as reading an answer does.
const answerTimeout = 20 * time.Second

// do sends a request and returns the status, 0 when there was no answer. A
// kept connection that the other side closed meanwhile is no answer: net/http
// clients would repeat the request, platforms do so later.
func (c *connection) do(address string, request []byte, now time.Time) int {
	if c.conn == nil {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", address)
		if err != nil {
			return 0
		}
		c.conn, c.in, c.deadline = conn, bufio.NewReader(conn), time.Time{}
	}
	if until := now.Add(answerTimeout); until.Sub(c.deadline) > time.Second {
		c.deadline = until
		_ = c.conn.SetDeadline(until)
	}
	if _, err := c.conn.Write(request); err != nil {
		c.close()
		return 0
	}
	status, again, ok := c.answer()
	if !ok || !again {
		c.close()
	}
	return status
}

// answer reads one answer; again says that the connection can be used again.
func (c *connection) answer() (status int, again, ok bool) {
	line, err := c.in.ReadSlice('\n')
	if err != nil || len(line) < len("HTTP/1.1 200") {
		return 0, false, false
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, false, false
	}
	again = true
	length := 0
	for {
		header, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, false, false
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(header), []byte(":"))
		if len(name) == 0 {
			break
		}
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, contentLength):
			length, _ = strconv.Atoi(string(value))
		case bytes.EqualFold(name, connectionName):
			again = !bytes.EqualFold(value, closes)
		case bytes.EqualFold(name, transferEncoding):
			again = false // a body of unknown length: the next request goes over another connection
		}
	}
	if _, err := c.in.Discard(length); err != nil {
		return 0, false, false
	}
	return status, again, true
}

var contentLength, connectionName, closes, transferEncoding = []byte("Content-Length"), []byte("Connection"), []byte("close"), []byte("Transfer-Encoding")

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
