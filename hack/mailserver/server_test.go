package mailserver

import (
	"bytes"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMailGoesFromOneServerToTheOther(t *testing.T) {
	servers, err := Start(t.Context(), Options{Users: map[string]string{"shop@" + ShopDomain: "secret"}})
	Require(t, err)
	t.Cleanup(servers.Close)
	require.NoError(t, servers.Save(t.Context(), "shop@"+ShopDomain, []byte("Subject: saved\r\n\r\nas it is\r\n")))
	require.NoError(t, servers.Renumber(t.Context(), "shop@"+ShopDomain))
	c, err := smtp.Dial("127.0.0.1:" + strconv.Itoa(servers.Submission))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.Hello(ShopDomain), "a name that is none, it refuses")
	require.NoError(t, c.Mail("ana@"+CustomerDomain))
	require.ErrorContains(t, c.Rcpt("shop@"+ShopDomain), "5.7.1", "who has not logged in sends nothing")
	require.True(t, bytes.Contains(mustRead(t, filepath.Join(servers.dir, "postfix.log")), []byte("reject: RCPT")))
	folder := servers.dir
	require.NotEmpty(t, processesOf(t, folder))
	servers.Close()
	require.NoDirExists(t, folder)
	require.Empty(t, processesOf(t, folder), "nothing stays behind")
}

func mustRead(t *testing.T, path string) []byte {
	deadline := time.Now().Add(time.Minute)
	for {
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte("reject")) || time.Now().After(deadline) {
			require.NoError(t, err)
			return data
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processesOf are the commands that run with a configuration in a folder.
func processesOf(t *testing.T, folder string) (found []string) {
	list, err := filepath.Glob("/proc/[0-9]*")
	require.NoError(t, err)
	for _, process := range list {
		environment, _ := os.ReadFile(filepath.Join(process, "environ")) // of one that has ended: nothing
		command, _ := os.ReadFile(filepath.Join(process, "cmdline"))
		if cwd, _ := os.Readlink(filepath.Join(process, "cwd")); bytes.Contains(environment, []byte(folder)) || bytes.Contains(command, []byte(folder)) || strings.HasPrefix(cwd, folder) {
			found = append(found, string(command))
		}
	}
	return found
}
