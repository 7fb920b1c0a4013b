package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
)

// ErrNotRunning means that no store answers on a data folder.
var ErrNotRunning = errors.New("no store runs on this data folder")

var errCutOff = errors.New("the backup was cut off; if it was the store that ended it, its log says why")

// Backup asks the store that runs on a data folder for a backup and writes it
// to w. When it fails, what was written is no backup; ErrNotRunning: nothing was.
func Backup(ctx context.Context, dir string, w io.Writer) (store.BackupSummary, error) {
	var summary store.BackupSummary
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		address, done, err := socketAddress(dir)
		if err != nil {
			return nil, err
		}
		defer done()
		return (&net.Dialer{}).DialContext(ctx, "unix", address)
	}, DisableCompression: true, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://store"+backupPath, http.NoBody)
	if err != nil {
		return summary, err
	}
	resp, err := client.Do(req)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return summary, ErrNotRunning
	}
	if err != nil {
		return summary, fmt.Errorf("%w: %w", errCutOff, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return summary, fmt.Errorf("the store answers: %s", strings.TrimSpace(string(text)))
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return summary, fmt.Errorf("%w: %w", errCutOff, err)
	}
	if err := json.Unmarshal([]byte(resp.Trailer.Get(summaryTrailer)), &summary); err != nil {
		return summary, errCutOff
	}
	return summary, nil
}
