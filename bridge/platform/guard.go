package platform

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// GuardOptions say what a guarded client may reach and how long it may take.
type GuardOptions struct {
	// AllowPrivate lets it reach loopback and private ranges: for hosts that the
	// platform team names (proxies, local API servers), or a Bridge that allows them.
	AllowPrivate bool
	// Timeout of a whole exchange, with both bodies. Zero: DefaultTimeout.
	Timeout time.Duration
	// MaxConnsPerHost bounds the connections to one host; 0: not bounded. Idle
	// ones are kept, so that a burst does not pay for TLS each time.
	MaxConnsPerHost int
}

// DefaultTimeout is enough for the largest upload of any platform so far (50 MB)
// at 2 Mbit/s, and for every long poll.
const DefaultTimeout = 5 * time.Minute

const (
	dialTimeout = 10 * time.Second
	// idleConns per host: a bridge sends through one client to one host, as many
	// messages at one time as the outbox has workers. Fewer would be closed after
	// a send and opened for the next one.
	idleConns = 128
	// connBuffer is what a connection's reader and writer hold each, of HTTP/1.1: a
	// platform's head fits in. A long poll has a connection to itself for as long as
	// it waits, and Go's own 4 KiB are 8 MB for a thousand of them. Bodies of more
	// pass the buffers by.
	connBuffer = 1 << 10
)

// NewClient makes an HTTP client that
//   - connects only to addresses that the options allow. The address is checked
//     after name resolution, at each connection, so that neither a name that
//     points inside nor one that changes in between gets through;
//   - uses no proxy: a proxy would resolve names itself, and the environment's
//     must not decide where a tenant's hosts are fetched from. Platforms are
//     put behind one with a base URL (Bridge.platformEndpoints);
//   - follows redirects on the same host and scheme only. Others are returned as
//     they are, so that no token travels to a host that nobody named.
func NewClient(o GuardOptions) *http.Client {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: sameHostOnly,
		Transport: &http.Transport{
			DialContext:           NewDialer(o).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   idleConns,
			MaxConnsPerHost:       o.MaxConnsPerHost,
			IdleConnTimeout:       90 * time.Second,
			TLSHandshakeTimeout:   dialTimeout,
			ExpectContinueTimeout: time.Second,
			ReadBufferSize:        connBuffer,
			WriteBufferSize:       connBuffer,
		},
	}
}

// NewDialer makes the dialer of NewClient, for protocols other than HTTP.
func NewDialer(o GuardOptions) *net.Dialer {
	return &net.Dialer{
		Timeout:   dialTimeout,
		KeepAlive: 30 * time.Second,
		Control: func(_, address string, _ syscall.RawConn) error {
			return checkAddress(address, o.AllowPrivate)
		},
	}
}

// ErrForbiddenAddress says that a host's address is in a range that may not be
// reached from here.
var ErrForbiddenAddress = errors.New("address is not allowed")

// neverAllowed cannot be a service that anybody means: link-local holds the
// metadata services of clouds, which hand out the node's credentials.
var neverAllowed = prefixes(
	"0.0.0.0/8", "::/128", // this host, unspecified
	"169.254.0.0/16", "fe80::/10", // link-local
	"224.0.0.0/4", "ff00::/8", // multicast
	"240.0.0.0/4", // reserved, broadcast
)

// private ranges are reached only with AllowPrivate. Beside RFC 1918 and its
// kin these are ranges that are routed nowhere, and IPv6 ranges that embed an
// IPv4 address, which could be a private one behind a translator.
var private = prefixes(
	"127.0.0.0/8", "::1/128",
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10",
	"100.64.0.0/10",                                                                      // carrier-grade NAT
	"192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", // protocol assignments, documentation
	"198.18.0.0/15",                                            // benchmarks
	"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", // NAT64, 6to4, Teredo
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

func checkAddress(address string, allowPrivate bool) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is not an IP address with a port", ErrForbiddenAddress, address)
	}
	ip := ap.Addr().Unmap().WithZone("") // ::ffff:10.0.0.1 is 10.0.0.1
	if contains(neverAllowed, ip) {
		return fmt.Errorf("%w: %s is a link-local or reserved address", ErrForbiddenAddress, ip)
	}
	if !allowPrivate && contains(private, ip) {
		return fmt.Errorf("%w: %s is in a private range", ErrForbiddenAddress, ip)
	}
	return nil
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

const maxRedirects = 5

func sameHostOnly(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errors.New("too many redirects")
	}
	first := via[0].URL
	if req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}
