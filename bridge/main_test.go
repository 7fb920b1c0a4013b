package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway"
)

func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newRootCommand()
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestVersionIsThatOfTheBuild(t *testing.T) {
	out, err := execute(t, "version")
	require.NoError(t, err)
	assert.Equal(t, version+"\n", out)
}

func TestMistakesOnTheCommandLineAreNamed(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"log level":   {[]string{"version", "--log-level", "loud"}, `--log-level "loud": use debug, info, warn or error`},
		"TLS folder":  {[]string{"serve", "--tls", "/nowhere"}, "--tls: TLS files in /nowhere"},
		"arguments":   {[]string{"serve", "now"}, `unknown command "now"`},
		"no such one": {[]string{"listen"}, `unknown command "listen"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := execute(t, test.args...)
			assert.ErrorContains(t, err, test.want)
		})
	}
}

func TestAnAddressInUseIsAnErrorAtTheStart(t *testing.T) {
	first := serveFlags{listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", healthAt: "127.0.0.1:0"}
	options := new(gateway.ServeOptions)
	require.NoError(t, first.bind(t.Context(), options))
	defer func() { _ = options.Public.Close(); _ = options.Internal.Close(); _ = options.Health.Close() }()
	second := first
	second.listen = options.Public.Addr().String()
	assert.ErrorContains(t, second.bind(t.Context(), new(gateway.ServeOptions)), "--listen: ")
}
