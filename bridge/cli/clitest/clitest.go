// Package clitest checks what the commands of a binary say of themselves.
package clitest

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
)

// Help holds a command and those below it against what --help should have: a
// line for the list, a text that says more, an example that begins with the
// program, and a word on every flag.
func Help(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	path := cmd.CommandPath()
	assert.NotEmpty(t, cmd.Short, path)
	assert.Greater(t, len(cmd.Long), 2*len(cmd.Short), "%s: Long says what Short says", path)
	assert.Contains(t, cmd.Example, cmd.Root().Name()+" ", "%s: an example", path)
	for line := range strings.SplitSeq(cmd.Long+"\n"+cmd.Example, "\n") {
		assert.LessOrEqual(t, len([]rune(line)), 120, "%s: %s", path, line)
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		assert.Greater(t, len(f.Usage), len(f.Name), "%s --%s", path, f.Name)
	})
	for _, sub := range cmd.Commands() {
		Help(t, sub)
	}
}
