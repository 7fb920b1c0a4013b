package survey

import "github.com/bridgekeeper/bridgekeeper/bridge/platform"

// ChannelOf is what asking needs to know of a channel on a platform. The store
// and the operator take it from here, so that both judge a campaign alike. No
// platform of this version can send a template beyond its messaging window: who
// is out of it is skipped, and counted (WindowClosed).
func ChannelOf(name string, capabilities platform.Capabilities) Channel {
	return Channel{Platform: name, CanSend: true, Window: capabilities.Window}
}
