package email

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	gomail "github.com/emersion/go-message/mail"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform/conformance"
)

// script is an SMTP server that goes wrong on purpose, as real ones cannot be
// made to: one command gets a reply of its own, or none and the connection ends.
type script struct {
	address string
	command string // "EHLO", "MAIL" …; "." is the end of a mail; empty: all goes well
	reply   string // empty: the connection ends
	// startTLS: it is offered, in whatever case of letters.
	startTLS bool
	mu       sync.Mutex
	texts    []string
}

func newScript(t testing.TB, command, reply string) *script {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{address: l.Addr().String(), command: command, reply: reply}
	var active sync.WaitGroup
	var open []net.Conn // also those that wait for another mail
	active.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			open = append(open, conn)
			s.mu.Unlock()
			active.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		s.mu.Unlock()
		active.Wait()
	})
	return s
}

// serveSMTP plays a conformance reply: "COMMAND line", or what is said at the
// end of a mail.
func serveSMTP(t testing.TB, reply conformance.Reply) (string, func() []string) {
	command, line, ok := strings.Cut(reply.Body, " ")
	if !ok || strings.ContainsAny(command, `{":`) {
		command, line = ".", reply.Body
	}
	if reply.Body == "" {
		command = ""
	}
	s := newScript(t, command, line)
	return s.address, func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		texts := s.texts
		s.texts = nil
		return texts
	}
}

func (s *script) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	_, _ = fmt.Fprint(conn, "220 script ESMTP\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		command, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if command == s.command && !s.answer(conn) {
			return
		} else if command == s.command {
			continue
		}
		switch command {
		case "EHLO":
			if s.startTLS {
				_, _ = fmt.Fprint(conn, "250-StartTLS\r\n")
			}
			_, _ = fmt.Fprint(conn, "250-script\r\n250-AUTH PLAIN\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 1000000\r\n")
		case "AUTH":
			_, _ = fmt.Fprint(conn, "235 2.7.0 welcome\r\n")
		case "DATA":
			_, _ = fmt.Fprint(conn, "354 go on\r\n")
			if !s.mail(conn, r) {
				return
			}
		case "QUIT":
			_, _ = fmt.Fprint(conn, "221 2.0.0 bye\r\n")
			return
		default:
			_, _ = fmt.Fprint(conn, "250 2.0.0 ok\r\n")
		}
	}
}

// answer says what the script has for its command; false: nothing, the
// connection ends.
func (s *script) answer(conn net.Conn) bool {
	if s.reply == "" {
		return false
	}
	_, _ = fmt.Fprint(conn, s.reply+"\r\n")
	return true
}

func (s *script) mail(conn net.Conn, r *bufio.Reader) bool {
	var mail strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		mail.WriteString(strings.TrimPrefix(line, "."))
	}
	text := ""
	if reader, err := gomail.CreateReader(strings.NewReader(mail.String())); err == nil {
		if part, err := reader.NextPart(); err == nil {
			var b strings.Builder
			_, _ = bufio.NewReader(part.Body).WriteTo(&b)
			text = strings.ReplaceAll(b.String(), "\r\n", "\n")
		}
	}
	s.mu.Lock()
	s.texts = append(s.texts, text)
	s.mu.Unlock()
	if s.command == "." {
		return s.answer(conn)
	}
	_, _ = fmt.Fprint(conn, "250 2.0.0 queued\r\n")
	return true
}

func splitEndpoint(endpoint string) (host string, port int) {
	host, digits, err := net.SplitHostPort(endpoint)
	if err != nil {
		return "127.0.0.1", 1
	}
	port, _ = strconv.Atoi(digits)
	return host, port
}
