package traffic

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// Sign is the value of X-Hub-Signature-256 for a body (Meta, "Webhooks:
// validating payloads").
func Sign(appSecret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(appSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
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
		b = append(append(b, `{"sender":{"id":"`...), ContactID(contact)...)
		b = append(append(b, `"},"recipient":{"id":"`...), w.o.Page...)
		b = append(append(append(b, `"},"timestamp":`...), at...), `,"message":{"mid":"`...)
		b = append(append(b, ExternalID(contact, first+i)...), `","text":"Hello, where is my order? It was due yesterday and nobody has called. `...)
		b = append(strconv.AppendInt(b, int64(first+i), 10), `"}}`...)
	}
	w.body = append(b, `]}]}`...)
	r := append(w.request[:0], "POST "...)
	r = append(append(r, w.o.Path...), " HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\nUser-Agent: facebookexternalua\r\nX-Hub-Signature-256: "...)
	r = append(append(r, Sign(w.o.AppSecret, w.body)...), "\r\nContent-Length: "...)
	r = append(strconv.AppendInt(r, int64(len(w.body)), 10), "\r\n\r\n"...)
	w.request = append(r, w.body...)
}

// connection is a kept-alive HTTP/1.1 connection.
type connection struct {
	conn net.Conn
	in   *bufio.Reader
	text *textproto.Reader
}

// answerTimeout is what a platform waits for an answer; Meta does not say, 20 s
// is the most that is told of it.
const answerTimeout = 20 * time.Second

// do sends a request and returns the status, 0 when there was no answer. A
// kept connection that the other side closed meanwhile is no answer: net/http
// clients would repeat the request, platforms do so later.
func (c *connection) do(address string, request []byte) int {
	if c.conn == nil {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", address)
		if err != nil {
			return 0
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
		c.text = textproto.NewReader(c.in)
	}
	_ = c.conn.SetDeadline(time.Now().Add(answerTimeout))
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
	line, err := c.text.ReadLine()
	if err != nil || len(line) < len("HTTP/1.1 200") {
		return 0, false, false
	}
	status, err = strconv.Atoi(line[9:12])
	if err != nil {
		return 0, false, false
	}
	again = true
	length := 0
	for {
		header, err := c.text.ReadLineBytes()
		if err != nil {
			return 0, false, false
		}
		if len(header) == 0 {
			break
		}
		name, value, _ := strings.Cut(string(header), ":")
		switch value = strings.TrimSpace(value); {
		case strings.EqualFold(name, "Content-Length"):
			length, _ = strconv.Atoi(value)
		case strings.EqualFold(name, "Connection"):
			again = !strings.EqualFold(value, "close")
		case strings.EqualFold(name, "Transfer-Encoding"):
			again = false // a body of unknown length: the next request goes over another connection
		}
	}
	if _, err := c.in.Discard(length); err != nil {
		return 0, false, false
	}
	return status, again, true
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
