package meta

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/plainjson"
)

// A request that can be read at once becomes what it becomes part by part.
func TestPlainRequestsBecomeWhatTheirPartsBecome(t *testing.T) {
	plain := 0
	for object, folder := range map[string]string{"page": "messenger", "instagram": "instagram"} {
		p := New(Product{Object: object})
		files, err := filepath.Glob(filepath.Join("..", folder, "testdata", "*.json"))
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, ".golden.json") {
				continue
			}
			body, err := os.ReadFile(file) //nolint:gosec // of the tests
			require.NoError(t, err)
			atOnce, ok := p.parsePlain("1234", body)
			if !ok {
				continue
			}
			plain++
			inParts, err := p.parseParts("1234", body)
			require.NoError(t, err, file)
			require.Equal(t, inParts, atOnce, file)
		}
	}
	require.Greater(t, plain, 20, "most are plain")
}

// usual are requests as nearly all are.
var usual = []string{
	`{"object":"page","entry":[{"id":"1234","time":1700000000000,"messaging":[{"sender":{"id":"77"},"recipient":{"id":"1234"},"timestamp":1700000000000,"message":{"mid":"m_1","text":"Grüße \ud83d\udc4d"}}]}]}`,
	`{"object":"page","entry":[{"id":1234,"time":1700000000000,"standby":[{"sender":{"id":"1234"},"recipient":{"id":"77"},"timestamp":1700000000000,"message":{"is_echo":true,"app_id":99,"metadata":"x","mid":"m_1","text":"Hi","quick_reply":{"payload":"P"},"reply_to":{"mid":"m_0"}}}]}]}`,
	`{"object":"page","entry":[{"id":"1234","time":1700000000000,"messaging":[{"sender":{"id":"77"},"recipient":{"id":"1234"},"timestamp":1700000000000,"delivery":{"mids":["m_1"],"watermark":1700000000000}}]}]}`,
	`{"object":"page","entry":[{"id":"1234","time":1700000000000,"messaging":[{"sender":{"id":"77"},"recipient":{"id":"1234"},"timestamp":1700000000000,"read":{"watermark":1700000000000}}]}]}`,
}

// The usual requests are read without encoding/json, and mean the same.
func TestUsualRequestsAreReadByThemselves(t *testing.T) {
	for _, body := range usual {
		var read, decoded plain
		require.True(t, read.read(plainjson.New([]byte(body))), body)
		require.NoError(t, json.Unmarshal([]byte(body), &decoded))
		require.Equal(t, decoded, read, body)
	}
}

func FuzzUsualRequests(f *testing.F) {
	for _, body := range usual {
		f.Add([]byte(body))
	}
	for _, folder := range []string{"messenger", "instagram"} {
		files, err := filepath.Glob(filepath.Join("..", folder, "testdata", "*.json"))
		require.NoError(f, err)
		for _, file := range files {
			body, err := os.ReadFile(file) //nolint:gosec // of the tests
			require.NoError(f, err)
			f.Add(body)
		}
	}
	p := New(Product{Object: "page"})
	f.Fuzz(func(t *testing.T, body []byte) {
		var read, decoded plain
		if !read.read(plainjson.New(body)) {
			return
		}
		require.NoError(t, json.Unmarshal(body, &decoded))
		require.Equal(t, decoded.Object, read.Object)
		atOnce, ok := p.parsePlain("1234", body)
		if !ok {
			return
		}
		inParts, err := p.parseParts("1234", body)
		require.NoError(t, err)
		require.Equal(t, inParts, atOnce)
	})
}
