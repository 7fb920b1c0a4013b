package standalone

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// storeDir is where a store keeps its data.
func storeDir(data string, store compile.Key) string {
	return filepath.Join(data, store.Namespace, store.Name)
}

// tokenFile is where the generated token of a store stands.
func tokenFile(data string, store compile.Key) string {
	return filepath.Join(data, store.Namespace, store.Name+".token")
}

// generatedToken reads the token of a store, or draws one: 256 random bits, in
// a file that only its owner can read. It stays the same across restarts.
func generatedToken(data string, store compile.Key) (string, error) {
	path := tokenFile(data, store)
	content, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	value := hex.EncodeToString(random)
	return value, os.WriteFile(path, []byte(value+"\n"), 0o600)
}
