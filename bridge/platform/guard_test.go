package platform

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGuardChecksTheAddressItself(t *testing.T) {
	const open, inside, never = "open", "private", "never"
	tests := map[string]string{
		"93.184.216.34": open, "2606:4700::1111": open, "172.32.0.1": open, "100.128.0.1": open,
		"127.0.0.1": inside, "127.8.8.8": inside, "::1": inside, "10.1.2.3": inside, "172.16.0.1": inside, "172.31.255.255": inside, "192.168.1.1": inside,
		"fd00::1": inside, "fec0::1": inside, "100.64.0.1": inside, "198.18.0.1": inside, "192.0.2.1": inside, "2001:db8::1": inside,
		"::ffff:10.0.0.1": inside, "64:ff9b::a00:1": inside, "2002:a00:1::": inside, "2001:0:a00:1::": inside,
		"0.0.0.0": never, "0.1.2.3": never, "::": never, "169.254.169.254": never, "::ffff:169.254.169.254": never, "fe80::1%eth0": never,
		"224.0.0.1": never, "ff02::1": never, "255.255.255.255": never, "240.0.0.1": never,
	}
	for ip, want := range tests {
		address := "[" + ip + "]:443"
		if !strings.Contains(ip, ":") {
			address = ip + ":443"
		}
		public, private := checkAddress(address, false), checkAddress(address, true)
		if want == open {
			require.NoError(t, public, ip)
		} else {
			require.ErrorIs(t, public, ErrForbiddenAddress, ip)
		}
		if want == never {
			require.ErrorIs(t, private, ErrForbiddenAddress, ip)
		} else {
			require.NoError(t, private, ip)
		}
	}
	require.ErrorIs(t, checkAddress("example.com:443", true), ErrForbiddenAddress, "only addresses, after resolution")
}

func TestGuardedClientChecksAfterResolution(t *testing.T) {
	called := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer srv.Close()
	byName := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	for _, target := range []string{srv.URL, byName} {
		_, err := NewClient(GuardOptions{}).Get(target)
		require.ErrorIs(t, err, ErrForbiddenAddress, target)
	}
	require.False(t, called)
	resp, err := NewClient(GuardOptions{AllowPrivate: true}).Get(srv.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.True(t, called)
}

func TestGuardedClientUsesNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	req := httptest.NewRequest(http.MethodGet, "http://example.com", nil)
	transport := NewClient(GuardOptions{}).Transport.(*http.Transport)
	if transport.Proxy != nil {
		proxy, err := transport.Proxy(req)
		require.NoError(t, err)
		require.Nil(t, proxy)
	}
}

func TestGuardedClientCarriesNothingToAnotherHost(t *testing.T) {
	leaked := ""
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked = r.URL.String() + r.Header.Get("Authorization") }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL+"/here?token=secret", http.StatusTemporaryRedirect)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/near":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/there":
			_, _ = io.WriteString(w, "there")
		}
	}))
	defer srv.Close()
	client := NewClient(GuardOptions{AllowPrivate: true})

	resp, err := client.Post(srv.URL+"/away", "text/plain", strings.NewReader("x"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode, "the caller gets the redirect as it is")
	require.Empty(t, leaked)

	resp, err = client.Get(srv.URL + "/near")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "there", string(body))

	_, err = client.Get(srv.URL + "/round")
	var wrapped *url.Error
	require.ErrorAs(t, err, &wrapped)
	require.ErrorContains(t, err, "too many redirects")
}
