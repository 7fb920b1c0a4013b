package email

import (
	"strings"

	"github.com/stretchr/testify/require"
)

// crlf is a mail as it is on the wire.
func crlf(mail string) []byte {
	return []byte(strings.ReplaceAll(strings.ReplaceAll(mail, "\r\n", "\n"), "\n", "\r\n"))
}

// asFetched is what a fetch makes of a mail: its structure, and the content of
// those parts that are read. That real servers give the same is tested with one.
func asFetched(t require.TestingT, mail []byte) rawMail {
	header, rest, _ := strings.Cut(string(mail), "\r\n\r\n")
	m := rawMail{UID: 7, Size: int64(len(mail)), Header: []byte(header + "\r\n\r\n")}
	contents := map[string]string{}
	m.Body = partOf(t, parseHeader(m.Header), rest, nil, contents)
	for _, n := range readable(m.Body) {
		content := contents[n.Path]
		if n.Type == typeMail {
			content, _, _ = strings.Cut(content, "\r\n\r\n")
			content += "\r\n\r\n"
		}
		n.Content = []byte(content)
	}
	return m
}

// partOf is the structure of a part, as IMAP servers tell it: parameters as they
// were written.
func partOf(t require.TestingT, h header, body string, path []int, contents map[string]string) *node {
	mediaType, params := splitValue(h.get("content-type"))
	disposition, dispositionParams := splitValue(h.get("content-disposition"))
	if mediaType == "" {
		mediaType, params = "text/plain", map[string]string{"charset": "us-ascii"}
	}
	n := &node{
		Path: joinPath(path), Type: mediaType, Params: lowerKeys(params), Disposition: disposition, DispositionParams: lowerKeys(dispositionParams),
		Encoding: strings.ToLower(or(h.get("content-transfer-encoding"), "7bit")), ID: h.get("content-id"),
	}
	if !strings.HasPrefix(mediaType, "multipart/") || params["boundary"] == "" {
		if len(path) == 0 {
			n.Path = "1"
		}
		n.Size, contents[n.Path] = int64(len(body)), body
		return n
	}
	n.Encoding = ""
	pieces := strings.Split("\r\n"+body, "\r\n--"+params["boundary"])
	for i, piece := range pieces[1:] {
		if strings.HasPrefix(piece, "--") {
			break
		}
		piece = strings.TrimPrefix(piece, "\r\n")
		head, content, found := strings.Cut(piece, "\r\n\r\n")
		if strings.HasPrefix(piece, "\r\n") { // a part without a header
			head, content, found = "", piece[2:], true
		}
		require.True(t, found, "part %d has no end of its header", i+1)
		n.Parts = append(n.Parts, partOf(t, parseHeader([]byte(head+"\r\n\r\n")), content, append(path[:len(path):len(path)], i+1), contents))
	}
	return n
}

// splitValue takes a structured field apart without decoding anything.
func splitValue(value string) (string, map[string]string) {
	if value == "" {
		return "", nil
	}
	pieces := strings.Split(value, ";")
	params := map[string]string{}
	for _, p := range pieces[1:] {
		name, v, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok {
			params[name] = strings.Trim(v, `"`)
		}
	}
	return strings.ToLower(strings.TrimSpace(pieces[0])), params
}
