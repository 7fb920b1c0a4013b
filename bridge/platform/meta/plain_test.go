package meta

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
