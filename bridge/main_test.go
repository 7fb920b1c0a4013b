package main

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli/clitest"
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
	out, err := execute(t, "version", "-o", "short")
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
	first := process{listen: "127.0.0.1:0", internalListen: "127.0.0.1:0", healthListen: "127.0.0.1:0"}
	open, err := first.bind(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, open.close()) }()
	second := first
	second.listen, second.healthListen = freeAddress(t), open.health.Addr().String()
	_, err = second.bind(t.Context())
	require.ErrorContains(t, err, "--health-listen: ")
	second.healthListen = "127.0.0.1:0"
	again, err := second.bind(t.Context())
	require.NoError(t, err, "the other listeners were closed")
	require.NoError(t, again.close())
}

func TestEveryCommandIsWorthAskingForHelp(t *testing.T) { clitest.Help(t, newRootCommand()) }
