package email

import (
	"encoding/json"
	"slices"
	"time"
)

// payload is what one fetch brought, as the raw journal keeps it: headers and
// texts as they came, undecoded, and of everything else where it is. Parse needs
// nothing but this.
type payload struct {
	UIDValidity uint32    `json:"uidValidity"`
	Mails       []rawMail `json:"mails"`
}

// rawMail is one mail of a mailbox.
type rawMail struct {
	UID uint32 `json:"uid"`
	// ReceivedAt is when the mail came into the mailbox, by its server's clock.
	ReceivedAt time.Time `json:"receivedAt,omitzero"`
	Size       int64     `json:"size,omitempty"` // of all of it, in bytes
	Header     []byte    `json:"header,omitempty"`
	Body       *node     `json:"body,omitempty"`
	// Problem is why the server did not give it.
	Problem string `json:"problem,omitempty"`
}

// node is one MIME part.
type node struct {
	// Path is its number (RFC 9051 section 6.4.5.1); empty: the mail itself,
	// where that has parts.
	Path              string            `json:"path,omitempty"`
	Type              string            `json:"type"` // in lower case
	Params            map[string]string `json:"params,omitempty"`
	Encoding          string            `json:"encoding,omitempty"` // in lower case
	Disposition       string            `json:"disposition,omitempty"`
	DispositionParams map[string]string `json:"dispositionParams,omitempty"`
	ID                string            `json:"id,omitempty"`   // Content-ID
	Size              int64             `json:"size,omitempty"` // as encoded, in bytes
	// Content is what was fetched of it, still encoded: a text, a delivery report,
	// the header of a mail within the mail.
	Content []byte  `json:"content,omitempty"`
	Parts   []*node `json:"parts,omitempty"`
}

const (
	// maxHeader, in bytes: real ones have 2 to 15 KiB, with many hops 50.
	maxHeader = 64 << 10
	// maxTextPart bounds one text part, in bytes as encoded. The HTML of the
	// largest newsletters is cut by mailboxes too (Gmail: at 102 KB).
	maxTextPart = 256 << 10
	// maxMailText bounds all texts of one mail: two parts of the largest size.
	maxMailText = 2 * maxTextPart
	// maxTexts bounds how many parts are fetched as texts: a forwarded thread of
	// Apple Mail has about ten.
	maxTexts = 16
	// maxNodes bounds the parts of a mail that are looked at.
	maxNodes = 200
	// maxBatchBytes ends a batch, however few mails it has: with the events
	// beside it a request to the store stays below 8 MiB.
	maxBatchBytes = 1 << 20
	// chunkSize is how many mails one FETCH describes.
	chunkSize = 20
)

// batch collects mails for one delivery.
type batch struct {
	payload
	bytes int
}

func (b *batch) add(m rawMail) {
	b.Mails = append(b.Mails, m)
	b.bytes += len(m.Header) + m.Body.bytes() + 512 // the JSON around it
}

// raw is the payload; empty when there is none.
func (b *batch) raw() ([]byte, error) {
	if len(b.Mails) == 0 {
		return nil, nil
	}
	return json.Marshal(b.payload)
}

func (n *node) bytes() int {
	if n == nil {
		return 0
	}
	sum := len(n.Content)
	for _, p := range n.Parts {
		sum += p.bytes()
	}
	return sum
}

// prune drops parts that are null, which only a payload has that was damaged.
func (n *node) prune() {
	if n == nil {
		return
	}
	n.Parts = slices.DeleteFunc(n.Parts, func(p *node) bool { return p == nil })
	for _, p := range n.Parts {
		p.prune()
	}
}

// walk visits the leaves in order.
func (n *node) walk(visit func(*node)) {
	if n == nil {
		return
	}
	if len(n.Parts) == 0 {
		visit(n)
	}
	for _, p := range n.Parts {
		p.walk(visit)
	}
}
