package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/tlsfiles"
)

// process is what "bridge serve" and "bridge store" have in common: documents
// and certificates to run on, and three listeners.
type process struct {
	documents, tls                       string
	listen, internalListen, healthListen string
}

// register adds the flags. What the listeners are for differs, and who is on
// the other side of mutual TLS.
func (p *process) register(cmd *cobra.Command, listen, internal, peers string) {
	flags := cmd.Flags()
	flags.StringVar(&p.documents, "documents", "/etc/bridgekeeper/documents", "folder with the document's shard files")
	flags.StringVar(&p.tls, "tls", "/etc/bridgekeeper/tls", "folder with tls.crt, tls.key and ca.crt for "+peers)
	flags.StringVar(&p.listen, "listen", ":8080", "address of "+listen)
	flags.StringVar(&p.internalListen, "internal-listen", ":8443", "address of "+internal+", with mutual TLS")
	flags.StringVar(&p.healthListen, "health-listen", ":8081", "address of /healthz, /readyz and /metrics")
}

// openTLS reads the certificates: none is an error at the start.
func (p *process) openTLS() (*tlsfiles.Files, error) {
	files, err := tlsfiles.Open(p.tls)
	if err != nil {
		return nil, fmt.Errorf("--tls: %w; name the folder with tls.crt, tls.key and ca.crt, which the operator puts into its pods", err)
	}
	return files, nil
}

// listeners are open before anything else runs: an address in use is an error
// at the start, not a log line.
type listeners struct{ main, internal, health net.Listener }

func (p *process) bind(ctx context.Context) (l listeners, err error) {
	var config net.ListenConfig
	for _, one := range []struct {
		flag, address string
		into          *net.Listener
	}{
		{"--listen", p.listen, &l.main},
		{"--internal-listen", p.internalListen, &l.internal},
		{"--health-listen", p.healthListen, &l.health},
	} {
		if *one.into, err = config.Listen(ctx, "tcp", one.address); err != nil {
			return listeners{}, errors.Join(fmt.Errorf("%s: %w; name another address", one.flag, err), l.close())
		}
	}
	return l, nil
}

func (l listeners) close() error {
	var errs []error
	for _, one := range []net.Listener{l.main, l.internal, l.health} {
		if one != nil {
			errs = append(errs, one.Close())
		}
	}
	return errors.Join(errs...)
}
