package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"text/template"
)

//go:embed templates
var templates embed.FS

// settings is what the templates may use.
type settings struct {
	Dir, CNIBin, Socket, CgroupRoot, PauseImage, Bridge, BridgeIP, PodCIDR, BridgeCIDR string
	DNSIP, Node                                                                        string
	KubeletPort, KubeletHTTPPort, ProxyHealthPort, ProxyMetricPort, DNSPort            int
	DNSHealthPort                                                                      int
	MasqueradeAll                                                                      bool
}

func newSettings(cfg Config, masqueradeAll bool) settings {
	return settings{
		Dir: cfg.Dir, CNIBin: cniBinFolder, Socket: cfg.containerdSocket(), CgroupRoot: cgroupRoot,
		PauseImage: pauseImage, Bridge: bridgeName, BridgeIP: bridgeIP, PodCIDR: podCIDR, BridgeCIDR: bridgeCIDR,
		DNSIP: dnsServiceIP, Node: nodeName,
		KubeletPort: portKubelet, KubeletHTTPPort: portKubeletHTTP,
		ProxyHealthPort: portProxyHealth, ProxyMetricPort: portProxyMetric,
		DNSPort: portDNS, DNSHealthPort: portDNSHealth,
		MasqueradeAll: masqueradeAll,
	}
}

func render(name string, data any) ([]byte, error) {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates, "templates/"+name)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// configFiles maps each template to the file it becomes.
func configFiles(cfg Config) map[string]string {
	return map[string]string{
		"containerd.toml": cfg.path("config", "containerd.toml"),
		"cni.conflist":    cfg.path("config", "cni", "10-bridgekeeper.conflist"),
		"kubelet.yaml":    cfg.path("config", "kubelet.yaml"),
		"kube-proxy.yaml": cfg.path("config", "kube-proxy.yaml"),
		"Corefile":        cfg.path("config", "Corefile"),
		"resolv.conf":     cfg.path("config", "resolv.conf"),
		"base.yaml":       cfg.path("config", "base.yaml"),
	}
}

func writeConfig(cfg Config, masqueradeAll bool) error {
	data := newSettings(cfg, masqueradeAll)
	for name, file := range configFiles(cfg) {
		content, err := render(name, data)
		if err != nil {
			return err
		}
		if err := writeFile(file, content, 0o644); err != nil {
			return err
		}
	}
	for _, id := range []string{"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "provisioner", "netpol"} {
		if err := writeKubeconfig(cfg, cfg.path("config", id+".kubeconfig"), id); err != nil {
			return err
		}
	}
	if err := writeKubeconfig(cfg, cfg.Kubeconfig, "admin"); err != nil {
		return err
	}
	return os.Chmod(cfg.path("config"), 0o700)
}
