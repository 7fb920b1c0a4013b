package telegram

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	_ "image/gif" // photos that are checked for their size
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"path"
	"strings"
	"time"
)

// maxDownload is the largest file that getFile hands out: 20 MB.
const maxDownload = 20 << 20

// maxPhoto is the largest photo that a bot can upload: 10 MB.
const maxPhoto = 10 << 20

// file is a stored file. Ids belong to one bot, as in the real service.
type file struct {
	id, uniqueID string
	bot          int64
	kind         string // photo, document, voice ...: what it was first sent as
	path         string // for downloads
	name, mime   string
	data         []byte
	width        int
	height       int
}

func (f *file) ref() FileRef {
	return FileRef{FileID: f.id, FileUniqueID: f.uniqueID, FileSize: int64(len(f.data))}
}

// fileStore keeps files and forgets the oldest ones above max bytes.
type fileStore struct {
	max, size int64
	byID      map[string]*file
	byPath    map[string]*file // "bot/path"
	order     []*file
	seq       uint64
}

func (fs *fileStore) init(limit int64) {
	fs.max, fs.byID, fs.byPath = limit, map[string]*file{}, map[string]*file{}
}

// folders is where downloads of a kind live, as in the real service.
var folders = map[string]string{
	"photo": "photos", "document": "documents", "voice": "voice", "audio": "music", "video": "videos",
	"animation": "animations", "video_note": "video_notes", "sticker": "stickers", "thumbnail": "thumbnails",
}

// add stores a file of a bot.
func (fs *fileStore) add(bot int64, kind, name, mime string, data []byte) *file {
	fs.seq++
	sum := sha256.Sum256(data)
	raw := make([]byte, 0, 48)
	raw = binary.BigEndian.AppendUint64(raw, uint64(bot))
	raw = binary.BigEndian.AppendUint64(raw, fs.seq)
	raw = append(raw, sum[:29]...) // 45 bytes encode without padding
	ext := path.Ext(name)
	switch kind {
	case "photo":
		ext = ".jpg"
	case "voice":
		ext = ".oga"
	}
	f := &file{
		id: base64.RawURLEncoding.EncodeToString(raw), uniqueID: base64.RawURLEncoding.EncodeToString(sum[:9]),
		bot: bot, kind: kind, name: name, mime: mime, data: data,
		path: fmt.Sprintf("%s/file_%d%s", folders[kind], fs.seq, ext),
	}
	if cfg, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil {
		f.width, f.height = cfg.Width, cfg.Height
	}
	fs.byID[f.id] = f
	fs.byPath[fmt.Sprint(bot, "/", f.path)] = f
	fs.order = append(fs.order, f)
	for fs.size += int64(len(data)); fs.size > fs.max && len(fs.order) > 1; {
		old := fs.order[0]
		fs.order = fs.order[1:]
		fs.size -= int64(len(old.data))
		delete(fs.byID, old.id)
		delete(fs.byPath, fmt.Sprint(old.bot, "/", old.path))
	}
	return f
}

func (fs *fileStore) get(bot int64, id string) *file {
	if f := fs.byID[id]; f != nil && f.bot == bot {
		return f
	}
	return nil
}

func getFile(c *call) (any, *apiError) {
	id := c.arg("file_id")
	if id == "" {
		return nil, badRequest("Bad Request: file_id not specified")
	}
	f := c.server.files.get(c.bot.user.ID, id)
	if f == nil {
		return nil, badRequest("Invalid file_id")
	}
	if len(f.data) > maxDownload {
		return nil, badRequest("Bad Request: file is too big")
	}
	return struct {
		FileRef
		FilePath string `json:"file_path"`
	}{f.ref(), f.path}, nil
}

// serveFile serves /file/bot<token>/<path>.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, rest string) {
	token, name, _ := strings.Cut(rest, "/")
	if !tokenPattern.MatchString(token) {
		writeError(w, &apiError{Code: 404, Description: "Not Found"})
		return
	}
	b := s.botByToken(token)
	if b == nil {
		writeError(w, &apiError{Code: 401, Description: "Unauthorized"})
		return
	}
	s.mu.Lock()
	f := s.files.byPath[fmt.Sprint(b.user.ID, "/", name)]
	s.mu.Unlock()
	if f == nil || len(f.data) > maxDownload {
		writeError(w, &apiError{Code: 404, Description: "Not Found"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream") // the real service never tells the type
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}

// File returns the bytes of a file by its id, e.g. one that a bot sent.
func (b *Bot) File(id string) (data []byte, ok bool) {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	if f := b.server.files.get(b.user.ID, id); f != nil {
		return f.data, true
	}
	return nil, false
}

// fetchURLs gets the files that a call names by URL, before the lock is taken.
func (c *call) fetchURLs() *apiError {
	kind, isSend := sendKinds[c.method]
	if isSend && kind.field != "" {
		if err := c.fetch(c.arg(kind.field), kind.field); err != nil {
			return err
		}
	}
	if c.method != "sendMediaGroup" && c.method != "editMessageMedia" {
		return nil
	}
	text := c.arg("media")
	if c.method == "editMessageMedia" {
		text = "[" + text + "]"
	}
	list, _, _ := parseArray(text) // errors are told later, in order
	for _, raw := range list {
		item, ok, _ := parseObject(string(raw))
		if !ok {
			continue
		}
		kind, _ := item.text("type", false)
		media, _ := item.text("media", false)
		if err := c.fetch(media, kind); err != nil {
			return err
		}
	}
	return nil
}

// fetch downloads one URL: photos up to 5 MB, other files up to 20 MB.
func (c *call) fetch(value, kind string) *apiError {
	if !isURL(value) || c.fetched[value] != nil {
		return nil
	}
	limit := int64(maxDownload)
	if kind == "photo" {
		limit = 5 << 20
	}
	req, err := http.NewRequestWithContext(c.ctx, http.MethodGet, value, nil)
	if err != nil {
		return badRequest("Wrong HTTP URL specified")
	}
	resp, err := c.server.opt.FetchClient.Do(req)
	if err != nil {
		return badRequest("Failed to get HTTP URL content")
	}
	defer func() { _ = resp.Body.Close() }() // reading is done
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil || resp.StatusCode != http.StatusOK || int64(len(data)) > limit {
		return badRequest("Failed to get HTTP URL content")
	}
	contentType := resp.Header.Get("Content-Type")
	if kind == "photo" && !strings.HasPrefix(contentType, "image/") {
		return badRequest("Wrong type of the web page content")
	}
	if c.fetched == nil {
		c.fetched = map[string]*upload{}
	}
	c.fetched[value] = &upload{name: path.Base(req.URL.Path), contentType: contentType, data: data}
	return nil
}

func isURL(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// inputFile finds the file of a parameter: an upload under the field's name or
// attach://name, a URL, or the id of a file that the bot knows. nil: none.
func (c *call) inputFile(field, value, kind string) (*file, *apiError) {
	up := c.files[field]
	if name, ok := strings.CutPrefix(value, "attach://"); ok {
		up = c.files[name]
	} else if value != "" {
		if isURL(value) {
			up = c.fetched[value]
		} else {
			return c.remoteFile(value, kind)
		}
	}
	if up == nil {
		return nil, nil
	}
	if err := checkUpload(up, kind); err != nil {
		return nil, err
	}
	return c.server.files.add(c.bot.user.ID, kind, up.name, up.contentType, up.data), nil
}

// remoteFile finds a file by id. The words for a wrong id follow from how ids
// are encoded.
func (c *call) remoteFile(id, kind string) (*file, *apiError) {
	if f := c.server.files.get(c.bot.user.ID, id); f != nil {
		if f.kind != kind && kind != "document" && f.kind != "document" {
			return nil, badRequest("Can't use file of type %s as %s", title(f.kind), title(kind))
		}
		return f, nil
	}
	if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return nil, badRequest("Wrong remote file identifier specified: Wrong character in the string")
	}
	if len(id)%4 == 1 {
		return nil, badRequest("Wrong remote file identifier specified: Wrong string length")
	}
	return nil, badRequest("Wrong remote file identifier specified: can't unserialize it. Wrong last symbol")
}

// title names a kind of file as the library does: VideoNote for video_note.
func title(kind string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(kind, "_") {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}

// checkUpload refuses files that cannot be what they are sent as.
func checkUpload(up *upload, kind string) *apiError {
	if len(up.data) == 0 {
		return badRequest("File must be non-empty")
	}
	if kind != "photo" {
		return nil
	}
	if len(up.data) > maxPhoto {
		return badRequest("File of size %d bytes is too big for a photo; the maximum size is %d bytes", len(up.data), maxPhoto)
	}
	// WebP and others that Go's standard library cannot read are refused too:
	// a double that accepts what it cannot check would not be strict.
	cfg, _, err := image.DecodeConfig(bytes.NewReader(up.data))
	if err != nil {
		return badRequest("IMAGE_PROCESS_FAILED")
	}
	w, h := cfg.Width, cfg.Height
	if w+h > 10_000 || w > 20*h || h > 20*w {
		return badRequest("PHOTO_INVALID_DIMENSIONS")
	}
	return nil
}
