package email

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// fetchChunk fetches some mails in order and commits them in batches. First come
// sizes and structures, then of each mail what is to be read.
func (w *poller) fetchChunk(ctx context.Context, m *mailbox, uids []imap.UID) error {
	described, err := m.describe(uids, !w.givenUp(uids[0]))
	if err != nil {
		return err
	}
	to := w.at
	b := batch{payload: payload{UIDValidity: m.validity}}
	flush := func(last imap.UID) error {
		to.uid, to.mark = uint32(last), ""
		if mail := described[last]; mail != nil {
			to.mark = markOf(mail.Header)
		}
		if err := w.commit(ctx, b, to); err != nil {
			return err
		}
		m.markSeen(w.c.config.IMAP, b)
		b = batch{payload: payload{UIDValidity: m.validity}}
		return nil
	}
	for i, uid := range uids {
		if mail, ok := described[uid]; ok { // else it was removed meanwhile
			if w.unreadable(uids[0]) {
				mail.Problem = "what the server says of this mail cannot be read"
			}
			if err := m.read(mail); err != nil {
				return err
			}
			b.add(*mail)
			if mail.ReceivedAt.After(to.at) {
				to.at = mail.ReceivedAt
			}
		}
		if b.bytes >= maxBatchBytes || i == len(uids)-1 {
			if err := flush(uid); err != nil {
				return err
			}
		}
	}
	return nil
}

// aloneAfter is how often mails together are tried before each is tried alone,
// and giveUpAfter how often the first is tried before it is taken without its
// parts. What cannot be read once cannot be read again as a rule; the others are
// for a byte that fell over on the way.
const (
	aloneAfter  = 2
	giveUpAfter = 4
)

// chunk is how many mails are described together from this one on.
func (w *poller) chunk(first imap.UID) int {
	if w.stuck == first && w.stuckTimes >= aloneAfter {
		return 1
	}
	return chunkSize
}

func (w *poller) givenUp(first imap.UID) bool {
	return w.stuck == first && w.stuckTimes >= giveUpAfter
}

// unreadable says that not even a mail's header can be read.
func (w *poller) unreadable(first imap.UID) bool {
	return w.stuck == first && w.stuckTimes >= 2*giveUpAfter
}

// note counts what a server says that cannot be read. A broken connection, or
// a store that is away, is no reason to give a mail up.
func (w *poller) note(first imap.UID, err error) {
	if !garbled(err) {
		return
	}
	if w.stuck != first {
		w.stuck, w.stuckTimes = first, 0
	}
	w.stuckTimes++
}

// garbled says that an error is of an answer that cannot be read, and of
// nothing that passes.
func garbled(err error) bool {
	var known *platform.Error
	var said *imap.Error
	var network net.Error
	for _, other := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.Canceled} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil && !errors.As(err, &known) && !errors.As(err, &said) && !errors.As(err, &network)
}

// describe fetches what is needed to know what to fetch. Without structure the
// mails get no parts: Parse says of them that they are there.
func (m *mailbox) describe(uids []imap.UID, withStructure bool) (map[imap.UID]*rawMail, error) {
	described, err := m.describeAll(uids, withStructure)
	if refused(err) {
		// One of them cannot be described. All are asked for one by one, and that
		// one is told of as it is.
		return m.describeEach(uids)
	}
	return described, err
}

func (m *mailbox) describeAll(uids []imap.UID, withStructure bool) (map[imap.UID]*rawMail, error) {
	options := &imap.FetchOptions{UID: true, InternalDate: true, RFC822Size: true}
	if withStructure {
		options.BodyStructure = &imap.FetchItemBodyStructure{Extended: true}
	}
	defer m.watch(m.patience)()
	command := m.Fetch(imap.UIDSetNum(uids...), options)
	described := map[imap.UID]*rawMail{}
	for data := command.Next(); data != nil; data = command.Next() {
		mail := rawMail{}
		for item := data.Next(); item != nil; item = data.Next() {
			switch item := item.(type) {
			case imapclient.FetchItemDataUID:
				mail.UID = uint32(item.UID)
			case imapclient.FetchItemDataInternalDate:
				mail.ReceivedAt = item.Time.UTC()
			case imapclient.FetchItemDataRFC822Size:
				mail.Size = item.Size
			case imapclient.FetchItemDataBodyStructure:
				mail.Body = structure(item.BodyStructure)
			}
		}
		if mail.UID != 0 { // a server may also tell of changed flags in between
			if known := described[imap.UID(mail.UID)]; known == nil || known.Body == nil && known.Size == 0 {
				described[imap.UID(mail.UID)] = &mail
			}
		}
	}
	return described, command.Close()
}

func (m *mailbox) describeEach(uids []imap.UID) (map[imap.UID]*rawMail, error) {
	described := map[imap.UID]*rawMail{}
	if len(uids) == 1 {
		described[uids[0]] = &rawMail{UID: uint32(uids[0]), Problem: "the server does not describe this mail"}
		return described, nil
	}
	for _, uid := range uids {
		one, err := m.describe([]imap.UID{uid}, true)
		if err != nil {
			return nil, err
		}
		maps.Copy(described, one)
	}
	return described, nil
}

// refused says that the server said no, and that the connection goes on.
func refused(err error) bool {
	var e *imap.Error
	return errors.As(err, &e) && e.Type != imap.StatusResponseTypeBye
}

// structure is a BODYSTRUCTURE as nodes; parts beyond maxNodes are left out.
func structure(bs imap.BodyStructure) *node {
	left := maxNodes
	var build func(bs imap.BodyStructure, path []int) *node
	build = func(bs imap.BodyStructure, path []int) *node {
		if left--; left < 0 {
			return nil
		}
		n := &node{Type: strings.ToLower(bs.MediaType()), Path: joinPath(path)}
		if d := bs.Disposition(); d != nil {
			n.Disposition, n.DispositionParams = strings.ToLower(d.Value), lowerKeys(d.Params)
		}
		switch bs := bs.(type) {
		case *imap.BodyStructureSinglePart:
			if len(path) == 0 {
				n.Path = "1" // the only part of a mail without parts
			}
			n.Params, n.Encoding, n.ID, n.Size = lowerKeys(bs.Params), strings.ToLower(bs.Encoding), bs.ID, int64(bs.Size)
		case *imap.BodyStructureMultiPart:
			if bs.Extended != nil {
				n.Params = lowerKeys(bs.Extended.Params)
			}
			for i, child := range bs.Children {
				if c := build(child, append(slices.Clone(path), i+1)); c != nil {
					n.Parts = append(n.Parts, c)
				}
			}
		}
		return n
	}
	return build(bs, nil)
}

func lowerKeys(params map[string]string) map[string]string {
	if len(params) == 0 {
		return nil
	}
	lower := make(map[string]string, len(params))
	for k, v := range params {
		lower[strings.ToLower(k)] = v
	}
	return lower
}

func joinPath(path []int) string {
	words := make([]string, len(path))
	for i, n := range path {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ".")
}

func splitPath(path string) []int {
	var numbers []int
	for word := range strings.SplitSeq(path, ".") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// read fetches a mail's header and those of its parts that Parse reads.
func (m *mailbox) read(mail *rawMail) error {
	if mail.Problem != "" {
		return nil
	}
	wanted := map[string]*node{} // by section, as in "2.HEADER"
	sections := []*imap.FetchItemBodySection{{Specifier: imap.PartSpecifierHeader, Peek: true, Partial: &imap.SectionPartial{Size: maxHeader}}}
	for _, n := range readable(mail.Body) {
		section := &imap.FetchItemBodySection{Part: splitPath(n.Path), Peek: true, Partial: &imap.SectionPartial{Size: maxTextPart}}
		if n.Type == typeMail {
			section.Specifier = imap.PartSpecifierHeader
		}
		wanted[sectionName(section)] = n
		sections = append(sections, section)
	}
	defer m.watch(m.patience)()
	command := m.Fetch(imap.UIDSetNum(imap.UID(mail.UID)), &imap.FetchOptions{UID: true, BodySection: sections})
	for data := command.Next(); data != nil; data = command.Next() {
		for item := data.Next(); item != nil; item = data.Next() {
			section, ok := item.(imapclient.FetchItemDataBodySection)
			if !ok || section.Literal == nil {
				continue
			}
			content, err := io.ReadAll(io.LimitReader(section.Literal, maxTextPart))
			if err != nil {
				return errors.Join(err, command.Close())
			}
			if n := wanted[sectionName(section.Section)]; n != nil {
				n.Content = content
			} else if len(section.Section.Part) == 0 {
				mail.Header = content
			}
			_, _ = io.Copy(io.Discard, section.Literal) // of a server that gives more than it was asked for
		}
	}
	err := command.Close()
	if refused(err) {
		mail.Problem = "the server does not give this mail"
		return nil
	}
	return err
}

func sectionName(s *imap.FetchItemBodySection) string {
	return joinPath(s.Part) + string(s.Specifier)
}

const (
	typeMail = "message/rfc822"
	// typeGlobalMail is a mail with UTF-8 in its header (RFC 6532). Servers that
	// know it not have no header of it to ask for: its beginning is fetched.
	typeGlobalMail = "message/global"
)

// reported are the parts of a report that Parse reads.
var reported = map[string]bool{
	"message/delivery-status": true, "message/global-delivery-status": true,
	typeMail: true, typeGlobalMail: true, "text/rfc822-headers": true, "message/global-headers": true,
}

// readable are the parts whose content Parse reads: texts that are not
// attachments, and what a report says.
func readable(body *node) []*node {
	var out []*node
	left := maxMailText
	found := reportNode(body)
	within := map[*node]bool{}
	found.walk(func(n *node) { within[n] = reported[n.Type] })
	body.walk(func(n *node) {
		text := n.isText() || within[n]
		if size := int(min(n.Size, maxTextPart)); text && len(out) < maxTexts && size <= left {
			out = append(out, n)
			left -= size
		}
	})
	return out
}

// markSeen marks what the store has, where the Channel wants that. It is for the
// people who look into the mailbox; nothing depends on it, so that a server
// which refuses is not asked again.
func (m *mailbox) markSeen(config IMAP, b batch) {
	if !config.MarkSeen || len(b.Mails) == 0 {
		return
	}
	var set imap.UIDSet
	for _, mail := range b.Mails {
		set.AddNum(imap.UID(mail.UID))
	}
	defer m.watch(m.patience)()
	_ = m.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close()
}

// mark is that of the mail with a UID; empty: there is none, or it has none.
func (m *mailbox) mark(uid uint32) (string, error) {
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Message-ID"}, Peek: true}
	defer m.watch(m.patience)()
	found, err := m.Fetch(imap.UIDSetNum(imap.UID(uid)), &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if refused(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, mail := range found {
		if uint32(mail.UID) == uid {
			return markOf(mail.FindBodySection(section)), nil
		}
	}
	return "", nil
}

// locate finds a mail by its UID, or by its Message-ID where the server has
// numbered its mails anew. 0: it is gone.
func (m *mailbox) locate(ref mediaRef) (imap.UID, error) {
	if ref.validity == m.validity {
		return imap.UID(ref.uid), nil
	}
	if ref.messageID == "" {
		return 0, nil
	}
	found, err := m.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Message-ID", Value: ref.messageID}}}, nil).Wait()
	if err != nil {
		return 0, err
	}
	uids := found.AllUIDs()
	if len(uids) == 0 {
		return 0, nil
	}
	return slices.Min(uids), nil
}

// wholeLines leaves out the line that is torn, of a header block that was cut at
// maxHeader.
func wholeLines(header []byte) []byte {
	if len(header) < maxHeader {
		return header
	}
	if i := bytes.LastIndexByte(header, '\n'); i >= 0 {
		return header[:i+1]
	}
	return header
}
