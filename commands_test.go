package main

import (
	"testing"

	"github.com/bridgekeeper/bridgekeeper/bridge/cli/clitest"
)

func TestEveryCommandIsWorthAskingForHelp(t *testing.T) { clitest.Help(t, newRootCommand()) }
