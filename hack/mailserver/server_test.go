package mailserver

import (
	"bytes"
	"net/smtp"
	"os"
	"path/filepath"
	"strconv"
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
	require.NoError(t, c.Mail("ana@"+CustomerDomain))
	require.ErrorContains(t, c.Rcpt("shop@"+ShopDomain), "5.7.1", "who has not logged in sends nothing")
	require.True(t, bytes.Contains(mustRead(t, filepath.Join(servers.dir, "postfix.log")), []byte("reject: RCPT")))
	servers.Close()
	require.NoDirExists(t, servers.dir)
}

func mustRead(t *testing.T, path string) []byte {
	deadline := time.Now().Add(5 * time.Second)
	for {
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte("reject")) || time.Now().After(deadline) {
			require.NoError(t, err)
			return data
		}
		time.Sleep(10 * time.Millisecond)
	}
}
