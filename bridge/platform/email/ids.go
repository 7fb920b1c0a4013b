package email

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// A mail that is sent has an id that follows from what it is: the message's
// own in the store, the part, the domain. Sent again, after an outcome that
// nobody knows, it is the same mail.
//
//	01JD3M9ZK6X4Y8W2V5T7R9Q1NB.0@shop.example
//
// 80 bits of the first are random: who knows one has seen the mail.
const idForm = `[0-9A-HJKMNP-TV-Z]{26}`

func messageID(delivery string, part int, account string) string {
	return fmt.Sprintf("%s.%d@%s", delivery, part, domainOf(account))
}

var ownID = regexp.MustCompile(`^` + idForm + `\.[0-9]{1,4}@`)

// isOwn says whether an id is one that messageID made for this account.
func isOwn(id, account string) bool {
	return ownID.MatchString(id) && strings.EqualFold(domainOf(id), domainOf(account))
}

// sentAt is when a delivery was queued; it is the mail's date each time it is
// sent. Zero: the id is none of the store's.
func sentAt(delivery string) time.Time {
	id, err := ulid.ParseStrict(delivery)
	if err != nil {
		return time.Time{}
	}
	return ulid.Time(id.Time())
}

// The token of a reply address is the message's id again: an answer by a
// program that keeps no References comes to shop+01jd3m9zk6x4y8w2v5t7r9q1nb@….
var plusToken = regexp.MustCompile(`(?i)\+(` + idForm + `)@`)

// withToken is a reply address for one message.
func withToken(addr, delivery string) string {
	local, domain, ok := cutLast(addr, "@")
	if !ok || sentAt(delivery).IsZero() || len(local)+1+len(delivery) > maxLocalPart {
		return addr
	}
	return local + "+" + strings.ToLower(delivery) + "@" + domain
}

// maxLocalPart is RFC 5321 section 4.5.3.1.1.
const maxLocalPart = 64

// tokenID is the id of the message that a reply address was made for; empty
// when none of the addresses has a token.
func tokenID(list []string, account string) string {
	for _, value := range list {
		if found := plusToken.FindStringSubmatch(value); found != nil {
			return messageID(strings.ToUpper(found[1]), 0, account)
		}
	}
	return ""
}

// derivedPrefix marks the id of a mail that came without one. It is no
// Message-ID and never leaves the house.
const derivedPrefix = "derived:"

// derivedID follows from what is in the mail, so that the same mail with
// another number is the same message.
func derivedID(m rawMail) string {
	sum := sha256.New()
	sum.Write(m.Header)
	m.Body.walk(func(n *node) { sum.Write(n.Content) })
	return derivedPrefix + hex.EncodeToString(sum.Sum(nil)[:16])
}

// bracketed are ids within a field; what stands between them (comments, the
// phrases of very old programs) does not count.
var bracketed = regexp.MustCompile(`<([^<>]+)>`)

const (
	// maxID is what is kept of an id, in bytes; a line of a mail has 998 at most.
	maxID = 500
	// maxReferences of a thread are kept: the first ones, by which programs find
	// the beginning, and the last.
	maxReferences   = 20
	firstReferences = 3
)

// ids of a field, without brackets.
func ids(values ...string) []string {
	var out []string
	for _, value := range values {
		found := bracketed.FindAllStringSubmatch(value, -1)
		if found == nil && len(strings.Fields(value)) == 1 && strings.Contains(value, "@") {
			found = [][]string{{value, value}} // some leave the brackets out
		}
		for _, id := range found {
			if id := strings.Join(strings.Fields(id[1]), ""); id != "" && len(id) <= maxID && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

// shorten keeps a thread's first and last ids.
func shorten(list []string) []string {
	if len(list) <= maxReferences {
		return list
	}
	return slices.Concat(list[:firstReferences], list[len(list)-maxReferences+firstReferences:])
}

// sendable are those ids that may stand in a header: no derived ones, nothing
// that would end the line.
func sendable(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(id string) bool {
		return strings.HasPrefix(id, derivedPrefix) || id == "" || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '<' || r == '>' })
	})
}

func itoa(n int) string { return strconv.Itoa(n) }
