package v1alpha1_test

import (
	"fmt"
	"strings"
)

const (
	positiveSize   = "storageSize must be more than nothing, like 10Gi"
	growingSize    = "storageSize cannot shrink: no volume can"
	sameClass      = "storageClassName is immutable: a volume cannot change its class"
	storageClass   = "storageClassName must be the name of a StorageClass"
	tokenNamespace = "must be the name of a namespace, or * for all of this store"
)

// apiToken is a usable API token with some fields replaced; nil removes one.
func apiToken(name string, changed fields) any {
	t := fields{"name": name, "secretRef": fields{"name": "desk"}, "namespaces": list{"shop"}, "access": "Read"}
	for k, v := range changed {
		if t[k] = v; v == nil {
			delete(t, k)
		}
	}
	return t
}

func tokenRule(constraint string, bad, good fields, want string) rule {
	return rule{covers: "spec.api.tokens" + constraint, field: "spec.api.tokens", bad: list{apiToken("desk", bad)}, good: list{apiToken("desk", good)}, want: want}
}

func numbered(i int) any { return fmt.Sprintf("n%d", i) }

var storeRules = concat(nameRules(), postgresRules, conditions, egressRules, allowList("spec.allowedBridges"),
	durations("spec.reopenWindow"), durations("spec.retention.messages"), durations("spec.retention.raw"),
	durations("spec.retention.events"), durations("spec.retention.media"),
	[]rule{
		{covers: "required spec", field: "spec", bad: nil, good: fields{}, want: "spec: " + required},
		podResources, podResourcesSize,
		{covers: "spec.sqlite.storageSize pattern", field: "spec.sqlite.storageSize", bad: "much", good: "20Gi", want: pattern},
		{covers: "spec.sqlite.storageSize rule: " + positiveSize, field: "spec.sqlite.storageSize", bad: "0", good: "1Gi", want: positiveSize},
		{covers: "spec.sqlite.storageSize rule: " + positiveSize, field: "spec.sqlite.storageSize", bad: -1, good: 1073741824, want: positiveSize},
		{covers: "spec.sqlite.storageSize rule: " + growingSize, field: "spec.sqlite.storageSize", old: "10Gi", bad: "9Gi", good: "11Gi", want: growingSize},
		{covers: "spec.sqlite.storageClassName maxLength", field: "spec.sqlite.storageClassName", bad: letters(254), good: letters(253), want: "Too long"},
		{covers: "spec.sqlite.storageClassName rule: " + storageClass, field: "spec.sqlite.storageClassName", bad: "Fast Disks", good: "fast.disks", want: storageClass},
		{covers: "spec.sqlite.storageClassName rule: " + sameClass, field: "spec.sqlite.storageClassName", old: "fast", bad: "slow", good: "fast", want: sameClass},

		{covers: "spec.api.tokens maxItems", field: "spec.api.tokens", bad: many(65, manyTokens), good: many(64, manyTokens), want: tooMany},
		{covers: "spec.api.tokens list", field: "spec.api.tokens", bad: list{apiToken("a", nil), apiToken("a", nil)}, good: list{apiToken("a", nil), apiToken("b", nil)}, want: duplicate},
		tokenRule("[] required name", fields{"name": nil}, nil, required),
		tokenRule("[] required access", fields{"access": nil}, nil, required),
		tokenRule("[] required namespaces", fields{"namespaces": nil}, nil, required),
		tokenRule("[] required secretRef", fields{"secretRef": nil}, nil, required),
		tokenRule("[].access enum", fields{"access": "Root"}, fields{"access": "Admin"}, enum),
		tokenRule("[].name minLength", fields{"name": ""}, fields{"name": "a"}, tooShort),
		tokenRule("[].name maxLength", fields{"name": letters(64)}, fields{"name": letters(63)}, "Too long"),
		tokenRule("[].name pattern", fields{"name": "Desk!"}, fields{"name": "desk-1"}, pattern),
		tokenRule("[].namespaces minItems", fields{"namespaces": list{}}, fields{"namespaces": list{"*"}}, tooFew),
		tokenRule("[].namespaces maxItems", fields{"namespaces": many(65, numbered)}, fields{"namespaces": many(64, numbered)}, tooMany),
		tokenRule("[].namespaces list", fields{"namespaces": list{"a", "a"}}, fields{"namespaces": list{"a", "b"}}, duplicate),
		tokenRule("[].namespaces[] maxLength", fields{"namespaces": list{letters(64)}}, fields{"namespaces": list{letters(63)}}, "Too long"),
		tokenRule("[].namespaces[] rule: "+tokenNamespace, fields{"namespaces": list{"shop*"}}, fields{"namespaces": list{"shop"}}, tokenNamespace),
		tokenRule("[].secretRef required name", fields{"secretRef": fields{}}, nil, required),
		tokenRule("[].secretRef.name minLength", fields{"secretRef": fields{"name": ""}}, fields{"secretRef": fields{"name": "a"}}, tooShort),
		tokenRule("[].secretRef.name maxLength", fields{"secretRef": fields{"name": letters(254)}}, fields{"secretRef": fields{"name": letters(253)}}, "Too long"),
	})

func manyTokens(i int) any { return apiToken(fmt.Sprintf("t%d", i), nil) }

const (
	publicURL      = "publicURL must be like https://hooks.example.com"
	publicURLEnd   = "publicURL must not end with a slash nor have a query"
	publicURLUser  = "publicURL must not have a user name or password: it is no secret"
	endpointURL    = "url must be like https://api.example.com"
	cidr           = "must be a CIDR like 203.0.113.0/24, with no bits beyond the prefix"
	nodePort       = "nodePort is possible only with serviceType NodePort or LoadBalancer"
	exposedHost    = "expose.ingress and expose.gateway need publicURL with a host name: that is the host they serve"
	exposedPath    = "publicURL must have no path with expose.ingress or expose.gateway: they send /webhooks/ of its host to the pods and rewrite nothing"
	gatewayName    = "name must be the name of a Gateway"
	gatewaySpace   = "namespace must be the name of a namespace"
	gatewaySection = "sectionName must be the name of a listener"
	gatewayUnique  = "parentRefs must differ in name, namespace or sectionName"
	ingressClass   = "className must be the name of an IngressClass"
	ingressSecret  = "tlsSecretName must be the name of a Secret"
	annotationKeys = "annotations must have keys like example.com/name"
	annotationSize = "annotations must have values of at most 4096 characters"
)

func urlRule(message, bad, good string) rule {
	return rule{covers: "spec.publicURL rule: " + message, field: "spec.publicURL", bad: bad, good: good, want: message}
}

func endpoint(changed fields) list {
	e := fields{"platform": "telegram", "url": "http://127.0.0.1:8081"}
	for k, v := range changed {
		if e[k] = v; v == nil {
			delete(e, k)
		}
	}
	return list{e}
}

func endpointRule(constraint string, bad, good fields, want string) rule {
	return rule{covers: "spec.platformEndpoints" + constraint, field: "spec.platformEndpoints", bad: endpoint(bad), good: endpoint(good), want: want}
}

func network(i int) any { return fmt.Sprintf("203.0.%d.0/24", i) }

func annotations(n int) fields {
	m := fields{}
	for i := range n {
		m[fmt.Sprintf("example.com/a%d", i)] = "x"
	}
	return m
}

// gateway is a usable expose.gateway.
var gateway = fields{"parentRefs": list{fields{"name": "public"}}}

func gatewayRule(constraint string, bad, good fields, want string) rule {
	const field = "spec.expose.gateway.parentRefs"
	return rule{covers: field + "[]" + constraint, field: field, with: public, bad: list{bad}, good: list{good}, want: want}
}

func manyGateways(i int) any { return fields{"name": fmt.Sprintf("g%d", i)} }

// exposed are the rules that an Ingress and an HTTPRoute share.
func exposed(field string, usable fields) []rule {
	with := fields{field: usable}
	return []rule{
		{covers: "spec rule: " + exposedHost, field: "spec.publicURL", with: with, bad: nil, good: "https://hooks.example.com", want: exposedHost},
		{covers: "spec rule: " + exposedHost, field: "spec.publicURL", with: with, bad: "https://203.0.113.7", good: "https://hooks.example.com", want: exposedHost},
		{covers: "spec rule: " + exposedPath, field: "spec.publicURL", with: with, bad: "https://hooks.example.com/chat", good: "https://hooks.example.com:8443", want: exposedPath},
		{covers: field + ".annotations maxProperties", field: field + ".annotations", with: with.and(public), bad: annotations(33), good: annotations(32), want: "must have at most 32"},
		{covers: field + ".annotations rule: " + annotationKeys, field: field + ".annotations", with: with.and(public), bad: fields{"no spaces": "x"}, good: fields{"cert-manager.io/issuer": "x"}, want: annotationKeys},
		{covers: field + ".annotations rule: " + annotationSize, field: field + ".annotations", with: with.and(public), bad: fields{"a/b": letters(4097)}, good: fields{"a/b": letters(4096)}, want: annotationSize},
	}
}

// public is what an Ingress needs.
var public = fields{"spec.publicURL": "https://hooks.example.com"}

var bridgeRules = concat(egressRules, nameRules(), conditions, allowList("spec.allowedChannels"), reference("spec.storeRef"),
	exposed("spec.expose.ingress", fields{}), exposed("spec.expose.gateway", gateway),
	[]rule{
		{covers: "required spec", field: "spec", bad: nil, good: fields{}, want: "spec: " + required},
		podResources, podResourcesSize,
		{covers: "spec.replicas minimum", field: "spec.replicas", bad: -1, good: 0, want: atLeast},
		{covers: "spec.replicas maximum", field: "spec.replicas", bad: 1001, good: 1000, want: atMost},

		{covers: "spec.publicURL maxLength", field: "spec.publicURL", bad: "https://a.example/" + letters(1007), good: "https://a.example/" + letters(1006), want: "Too long"},
		urlRule(publicURL, "hooks.example.com", "https://hooks.example.com"),
		urlRule(publicURL, "ftp://hooks.example.com", "http://hooks.example.com:8443"),
		urlRule(publicURL, "https://", "https://203.0.113.7"),
		urlRule(publicURLEnd, "https://hooks.example.com/", "https://hooks.example.com/chat"),
		urlRule(publicURLEnd, "https://hooks.example.com?a=b", "https://hooks.example.com/a=b"),
		urlRule(publicURLEnd, "https://hooks.example.com#top", "https://hooks.example.com/top"),
		urlRule(publicURLUser, "https://user:secret@hooks.example.com", "https://hooks.example.com"),

		{covers: "spec.platformEndpoints maxItems", field: "spec.platformEndpoints", bad: many(33, func(int) any { return endpoint(nil)[0] }), want: tooMany},
		{covers: "spec.platformEndpoints list", field: "spec.platformEndpoints", bad: append(endpoint(nil), endpoint(nil)...), good: endpoint(nil), want: duplicate},
		endpointRule("[] required platform", fields{"platform": nil}, nil, required),
		endpointRule("[] required url", fields{"url": nil}, nil, required),
		endpointRule("[] rule: "+noEmailURL, fields{"platform": "email"}, nil, noEmailURL),
		endpointRule("[].platform enum", fields{"platform": "pigeon"}, nil, enum),
		endpointRule("[].url maxLength", fields{"url": "https://a.example/" + letters(1007)}, fields{"url": "https://a.example/" + letters(1006)}, "Too long"),
		endpointRule("[].url rule: "+endpointURL, fields{"url": "telegram.example.com"}, fields{"url": "http://telegram.simulator.svc:8081"}, endpointURL),

		{covers: "spec.expose.serviceType enum", field: "spec.expose.serviceType", bad: "ExternalName", good: "LoadBalancer", want: enum},
		{covers: "spec.expose.nodePort minimum", field: "spec.expose.nodePort", with: fields{"spec.expose.serviceType": "NodePort"}, bad: 0, good: 1, want: atLeast},
		{covers: "spec.expose.nodePort maximum", field: "spec.expose.nodePort", with: fields{"spec.expose.serviceType": "NodePort"}, bad: 65536, good: 65535, want: atMost},
		{covers: "spec.expose rule: " + nodePort, field: "spec.expose", bad: fields{"nodePort": 30080}, good: fields{"nodePort": 30080, "serviceType": "NodePort"}, want: nodePort},
		{covers: "spec.expose rule: " + nodePort, field: "spec.expose", bad: fields{"nodePort": 30080, "serviceType": "ClusterIP"}, good: fields{"nodePort": 30080, "serviceType": "LoadBalancer"}, want: nodePort},
		{covers: "spec.expose.ingress.className maxLength", field: "spec.expose.ingress.className", with: public, bad: letters(254), good: letters(253), want: "Too long"},
		{covers: "spec.expose.ingress.className rule: " + ingressClass, field: "spec.expose.ingress.className", with: public, bad: "NGINX!", good: "nginx", want: ingressClass},
		{covers: "spec.expose.ingress.tlsSecretName maxLength", field: "spec.expose.ingress.tlsSecretName", with: public, bad: letters(254), good: letters(253), want: "Too long"},
		{covers: "spec.expose.ingress.tlsSecretName rule: " + ingressSecret, field: "spec.expose.ingress.tlsSecretName", with: public, bad: "shop/tls", good: "shop-tls", want: ingressSecret},
		{covers: "spec.expose.gateway required parentRefs", field: "spec.expose.gateway", with: public, bad: fields{}, good: gateway, want: "parentRefs: " + required},
		{covers: "spec.expose.gateway.parentRefs minItems", field: "spec.expose.gateway.parentRefs", with: public, bad: list{}, good: gateway["parentRefs"], want: tooFew},
		{covers: "spec.expose.gateway.parentRefs maxItems", field: "spec.expose.gateway.parentRefs", with: public, bad: many(33, manyGateways), good: many(32, manyGateways), want: tooMany},
		{covers: "spec.expose.gateway.parentRefs rule: " + gatewayUnique, field: "spec.expose.gateway.parentRefs", with: public, bad: list{fields{"name": "a"}, fields{"name": "a"}}, good: list{fields{"name": "a"}, fields{"name": "a", "namespace": "infra"}, fields{"name": "a", "sectionName": "https"}}, want: gatewayUnique},
		gatewayRule(" required name", fields{"namespace": "infra"}, fields{"name": "public", "namespace": "infra"}, required),
		gatewayRule(".name maxLength", fields{"name": letters(254)}, fields{"name": letters(253)}, "Too long"),
		gatewayRule(".name rule: "+gatewayName, fields{"name": ""}, fields{"name": "public.gateway"}, gatewayName),
		gatewayRule(".namespace maxLength", fields{"name": "a", "namespace": letters(64)}, fields{"name": "a", "namespace": letters(63)}, "Too long"),
		gatewayRule(".namespace rule: "+gatewaySpace, fields{"name": "a", "namespace": "in.fra"}, fields{"name": "a", "namespace": "infra"}, gatewaySpace),
		gatewayRule(".sectionName maxLength", fields{"name": "a", "sectionName": letters(254)}, fields{"name": "a", "sectionName": letters(253)}, "Too long"),
		gatewayRule(".sectionName rule: "+gatewaySection, fields{"name": "a", "sectionName": "HTTPS"}, fields{"name": "a", "sectionName": "https"}, gatewaySection),
	})

const (
	unionTelegram = "spec.telegram is required when platform is telegram, and forbidden otherwise"
	samePlatform  = "platform is immutable: make a new Channel for another platform"
	sameBot       = "telegram.botID is immutable: make a new Channel for another account"
)

func bounds(field string, minimum, maximum int) []rule {
	return []rule{
		{covers: field + " minimum", field: field, bad: minimum - 1, good: minimum, want: atLeast},
		{covers: field + " maximum", field: field, bad: maximum + 1, good: maximum, want: atMost},
	}
}

func lengths(field string, minimum, maximum int) []rule {
	rules := []rule{{covers: field + " maxLength", field: field, bad: letters(maximum + 1), good: letters(maximum), want: "Too long"}}
	if minimum > 0 {
		rules = append(rules, rule{covers: field + " minLength", field: field, bad: "", good: letters(minimum), want: tooShort})
	}
	return rules
}

func command(changed fields) any {
	c := fields{"command": "start", "description": "Begin"}
	for k, v := range changed {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func manyCommands(i int) any { return command(fields{"command": fmt.Sprintf("c%d", i)}) }

// commandRules are those of a list of commands; wrap puts a list where field wants it.
func commandRules(covers, field string, wrap func(list) any) []rule {
	row := func(constraint string, bad, good list, want string) rule {
		return rule{covers: covers + constraint, field: field, bad: wrap(bad), good: wrap(good), want: want}
	}
	one := func(changed fields) list { return list{command(changed)} }
	return []rule{
		row(" maxItems", many(101, manyCommands), many(100, manyCommands), tooMany),
		row(" list", list{command(nil), command(nil)}, list{}, duplicate),
		row("[] required command", one(fields{"command": nil}), one(nil), required),
		row("[] required description", one(fields{"description": nil}), one(nil), required),
		row("[].command maxLength", one(fields{"command": letters(33)}), one(fields{"command": letters(32)}), "Too long"),
		row("[].command pattern", one(fields{"command": "/start"}), one(fields{"command": "start_2"}), pattern),
		row("[].description minLength", one(fields{"description": ""}), one(fields{"description": "x"}), tooShort),
		row("[].description maxLength", one(fields{"description": letters(257)}), one(fields{"description": letters(256)}), "Too long"),
	}
}

func localized(changed fields) any {
	l := fields{"languageCode": "de"}
	for k, v := range changed {
		if l[k] = v; v == nil {
			delete(l, k)
		}
	}
	return list{l}
}

func localizedRule(constraint string, bad, good fields, want string) rule {
	const field = "spec.telegram.profile.localized"
	return rule{covers: field + constraint, field: field, bad: localized(bad), good: localized(good), want: want}
}

func language(i int) any {
	return fields{"languageCode": string([]byte{'a' + byte(i/26), 'a' + byte(i%26)})}
}

const (
	channelName = "metadata.name must be at most 63 lower-case letters, digits and dashes: it is part of the webhook URL"
	profile     = "spec.telegram.profile"
)

var channelRules = concat(messengerRules, instagramRules, emailRules, allowedPoliciesRules, conditions, reference("spec.bridgeRef"), durations("spec.reopenWindow"), durations("spec.credentials.overlap"),
	bounds("spec.limits.inboundPerSecond", 1, 100000), bounds("spec.limits.outboundPerSecond", 1, 10000),
	bounds("spec.limits.maxMediaBytes", 1, 1<<30), bounds("spec.telegram.maxConnections", 1, 100),
	lengths(profile+".name", 1, 64), lengths(profile+".description", 0, 512), lengths(profile+".shortDescription", 0, 120),
	commandRules(profile+".commands", profile+".commands", func(l list) any { return l }),
	commandRules(profile+".localized[].commands", profile+".localized", func(l list) any { return localized(fields{"commands": l}) }),
	[]rule{
		{covers: "rule: " + channelName, field: "metadata.name", bad: letters(64), good: letters(63), want: channelName},
		{covers: "rule: " + channelName, field: "metadata.name", bad: "telegram.main", good: "1-telegram", want: channelName},
		{covers: "required spec", field: "spec", bad: nil, want: "spec: " + required},
		{covers: "spec required platform", field: "spec.platform", bad: nil, good: "telegram", want: "spec.platform: " + required},
		{covers: "spec.platform enum", field: "spec.platform", bad: "pigeon", good: "telegram", want: enum},
		{covers: "spec required credentials", field: "spec.credentials", bad: nil, good: fields{"secretRef": fields{"name": "a"}}, want: "spec.credentials: " + required},
		{covers: "spec.credentials required secretRef", field: "spec.credentials", bad: fields{}, want: "secretRef: " + required},
		{covers: "spec.credentials.secretRef required name", field: "spec.credentials.secretRef", bad: fields{}, want: "name: " + required},
		{covers: "spec.credentials.secretRef.name minLength", field: "spec.credentials.secretRef.name", bad: "", good: "a", want: tooShort},
		{covers: "spec.credentials.secretRef.name maxLength", field: "spec.credentials.secretRef.name", bad: letters(254), good: letters(253), want: "Too long"},
		{covers: "spec rule: " + unionTelegram, field: "spec.telegram", bad: nil, good: fields{"botID": "1"}, want: unionTelegram},
		{covers: "spec rule: " + sameBot, field: "spec.telegram.botID", old: "110201543", bad: "110201544", good: "110201543", want: sameBot},
		{covers: "spec.telegram required botID", field: "spec.telegram", bad: fields{}, want: "botID: " + required},
		{covers: "spec.telegram.botID pattern", field: "spec.telegram.botID", bad: "my_bot", good: "1", want: pattern},
		{covers: "spec.telegram.botID pattern", field: "spec.telegram.botID", bad: "0", good: "10", want: pattern},
		{covers: "spec.telegram.botID maxLength", field: "spec.telegram.botID", bad: strings.Repeat("1", 20), good: strings.Repeat("1", 19), want: "Too long"},
		{covers: "spec.telegram.receive enum", field: "spec.telegram.receive", bad: "Pigeon", good: "Polling", want: enum},
		{covers: "spec.defaultLanguage pattern", field: "spec.defaultLanguage", bad: "de_AT", good: "de-AT", want: pattern},
		{covers: "spec.defaultLanguage pattern", field: "spec.defaultLanguage", bad: "d", good: "zh-Hant-TW", want: pattern},
		{covers: "spec.defaultLanguage maxLength", field: "spec.defaultLanguage", bad: "de" + strings.Repeat("-12345678", 4), good: "de" + strings.Repeat("-1234567", 4), want: "Too long"},
		{covers: "status.receive enum", field: "status.receive", bad: "Pigeon", good: "Webhook", want: enum},

		{covers: profile + ".localized maxItems", field: profile + ".localized", bad: many(21, language), good: many(20, language), want: tooMany},
		{covers: profile + ".localized list", field: profile + ".localized", bad: list{language(0), language(0)}, good: list{language(0), language(1)}, want: duplicate},
		localizedRule("[] required languageCode", fields{"languageCode": nil}, nil, required),
		localizedRule("[].languageCode pattern", fields{"languageCode": "DE"}, nil, pattern),
		localizedRule("[].languageCode maxLength", fields{"languageCode": "deu"}, nil, "Too long"),
		localizedRule("[].name minLength", fields{"name": ""}, fields{"name": "a"}, tooShort),
		localizedRule("[].name maxLength", fields{"name": letters(65)}, fields{"name": letters(64)}, "Too long"),
		localizedRule("[].description maxLength", fields{"description": letters(513)}, fields{"description": letters(512)}, "Too long"),
		localizedRule("[].shortDescription maxLength", fields{"shortDescription": letters(121)}, fields{"shortDescription": letters(120)}, "Too long"),
	})
