package conditions

import (
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/all"
)

func telegramProfile(p *v1alpha1.TelegramProfile) v1alpha1.ChannelSpec {
	return v1alpha1.ChannelSpec{Platform: v1alpha1.PlatformTelegram, Telegram: &v1alpha1.TelegramChannel{Profile: p}}
}

func messengerProfile(p *v1alpha1.MessengerProfile) v1alpha1.ChannelSpec {
	return v1alpha1.ChannelSpec{Platform: v1alpha1.PlatformMessenger, Messenger: &v1alpha1.MessengerChannel{Profile: p}}
}

func instagramProfile(p *v1alpha1.InstagramProfile) v1alpha1.ChannelSpec {
	return v1alpha1.ChannelSpec{Platform: v1alpha1.PlatformInstagram, Instagram: &v1alpha1.InstagramChannel{Profile: p}}
}

// profiles are, for each platform with a profile, specs that ask for nothing in
// it and specs that ask for a single thing each.
var profiles = map[string]struct{ none, some []v1alpha1.ChannelSpec }{
	"telegram": {
		none: []v1alpha1.ChannelSpec{telegramProfile(nil), telegramProfile(&v1alpha1.TelegramProfile{})},
		some: []v1alpha1.ChannelSpec{
			telegramProfile(&v1alpha1.TelegramProfile{Name: new("Shop")}),
			telegramProfile(&v1alpha1.TelegramProfile{Description: new("")}),
			telegramProfile(&v1alpha1.TelegramProfile{ShortDescription: new("")}),
			telegramProfile(&v1alpha1.TelegramProfile{Commands: []v1alpha1.TelegramCommand{}}),
			telegramProfile(&v1alpha1.TelegramProfile{Localized: []v1alpha1.TelegramLocalizedProfile{{LanguageCode: "de"}}}),
		},
	},
	"messenger": {
		none: []v1alpha1.ChannelSpec{messengerProfile(nil), messengerProfile(&v1alpha1.MessengerProfile{})},
		some: []v1alpha1.ChannelSpec{
			messengerProfile(&v1alpha1.MessengerProfile{Greeting: []v1alpha1.MessengerGreeting{}}),
			messengerProfile(&v1alpha1.MessengerProfile{GetStarted: &v1alpha1.MessengerGetStarted{}}),
			messengerProfile(&v1alpha1.MessengerProfile{IceBreakers: []v1alpha1.IceBreakers{}}),
			messengerProfile(&v1alpha1.MessengerProfile{PersistentMenu: []v1alpha1.PersistentMenu{}}),
			messengerProfile(&v1alpha1.MessengerProfile{WhitelistedDomains: []string{}}),
		},
	},
	"instagram": {
		none: []v1alpha1.ChannelSpec{instagramProfile(nil), instagramProfile(&v1alpha1.InstagramProfile{})},
		some: []v1alpha1.ChannelSpec{
			instagramProfile(&v1alpha1.InstagramProfile{IceBreakers: []v1alpha1.IceBreakers{}}),
			instagramProfile(&v1alpha1.InstagramProfile{PersistentMenu: []v1alpha1.PersistentMenu{}}),
		},
	},
}

func TestProfileOfEveryPlatform(t *testing.T) {
	for name, p := range all.ByName() {
		if _, ok := p.(platform.Profiler); !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			require.Contains(t, profiles, name, "a platform with a profile: say here what its spec asks for")
			synced := func(spec v1alpha1.ChannelSpec, row *document.Duty) string {
				s := readyScene(t)
				s.channel.Spec = spec
				s.row(func(r *document.ChannelStatus) { probed(document.DutyDone, "")(r); r.Profile = row })
				s.step(status.CurrentStatus, "True/Ready")
				return s.condition(v1alpha1.ConditionProfileSynced)
			}
			for _, spec := range profiles[name].none {
				require.Equal(t, "True/NoProfile", synced(spec, duty(document.DutyDone, "")))
			}
			for _, spec := range profiles[name].some {
				require.Equal(t, "Unknown/NotAttempted", synced(spec, nil))
				require.Equal(t, "True/Done", synced(spec, duty(document.DutyDone, "")))
				require.Equal(t, "False/Misconfigured", synced(spec, duty(document.DutyFailed, v1alpha1.ReasonMisconfigured)))
			}
		})
	}
}
