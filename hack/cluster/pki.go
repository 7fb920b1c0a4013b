package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// Certificates live as long as anybody could want a test cluster: an expired
// one would look like a riddle, and `down` throws them all away.
const certificateLife = 10 * 365 * 24 * time.Hour

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// identity is what a certificate says: who a client is, or under which names
// and addresses a server answers.
type identity struct {
	file  string // below pki/, without extension
	name  string // common name: the Kubernetes user
	group string // organization: the Kubernetes group
	hosts []string
}

// identities lists all certificates of the cluster's authority. Each process
// has a name of its own, so that RBAC decides for each what it may do.
func identities() []identity {
	return []identity{
		{file: "apiserver", name: "kube-apiserver", hosts: []string{
			bridgeIP, apiServiceIP, "127.0.0.1", "localhost", "kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{file: "kubelet-server", name: nodeName, hosts: []string{bridgeIP, "127.0.0.1", nodeName}},
		{file: "loopback-server", name: "localhost", hosts: []string{"127.0.0.1", "localhost"}},
		{file: "admin", name: "admin", group: "system:masters"},
		{file: "apiserver-kubelet-client", name: "system:kube-apiserver-kubelet-client"},
		{file: "kube-controller-manager", name: "system:kube-controller-manager"},
		{file: "kube-scheduler", name: "system:kube-scheduler"},
		{file: "kubelet", name: "system:node:" + nodeName, group: "system:nodes"},
		{file: "kube-proxy", name: "system:kube-proxy"},
		{file: "coredns", name: "system:coredns"},
		{file: "provisioner", name: "system:bridgekeeper-provisioner"},
		{file: "netpol", name: "system:bridgekeeper-netpol"},
	}
}

// etcdIdentities are signed by an authority of their own: no Kubernetes client
// certificate may open etcd.
func etcdIdentities() []identity {
	return []identity{
		{file: "etcd-server", name: "etcd", hosts: []string{"127.0.0.1", "localhost"}},
		{file: "etcd-client", name: "kube-apiserver-etcd-client"},
	}
}

// makePKI writes all keys and certificates. It runs once for a new cluster.
func makePKI(cfg Config) error {
	if err := os.MkdirAll(cfg.path("pki"), 0o700); err != nil {
		return err
	}
	for file, list := range map[string][]identity{"ca": identities(), "etcd-ca": etcdIdentities()} {
		ca, err := newAuthority(cfg, file)
		if err != nil {
			return err
		}
		for _, id := range list {
			if err := ca.issue(cfg, id); err != nil {
				return err
			}
		}
	}
	return makeServiceAccountKey(cfg)
}

func newAuthority(cfg Config, file string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := certificateTemplate("bridgekeeper-cluster-"+file, "")
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert, key}, writeKeyPair(cfg, file, der, key)
}

func (ca *authority) issue(cfg Config, id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template, err := certificateTemplate(id.name, id.group)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.hosts) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	for _, host := range id.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", id.file, err)
	}
	return writeKeyPair(cfg, id.file, der, key)
}

func certificateTemplate(name, group string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	subject := pkix.Name{CommonName: name}
	if group != "" {
		subject.Organization = []string{group}
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour), // clocks that were just set back
		NotAfter:     time.Now().Add(certificateLife),
	}, nil
}

func writeKeyPair(cfg Config, file string, der []byte, key *ecdsa.PrivateKey) error {
	if err := writePEM(cfg.pki(file+".crt"), "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(cfg.pki(file+".key"), "EC PRIVATE KEY", keyDER, 0o600)
}

// makeServiceAccountKey makes the pair that signs the tokens of pods.
func makeServiceAccountKey(cfg Config) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM(cfg.pki("service-account.key"), "EC PRIVATE KEY", private, 0o600); err != nil {
		return err
	}
	return writePEM(cfg.pki("service-account.pub"), "PUBLIC KEY", public, 0o644)
}

func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	return writeFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

// writeKubeconfig makes a kubeconfig that needs no other file.
func writeKubeconfig(cfg Config, file, id string) error {
	data := map[string]string{
		"Server": apiURL(""), "User": id, "Context": contextName,
	}
	for key, source := range map[string]string{"CA": "ca.crt", "Cert": id + ".crt", "Key": id + ".key"} {
		content, err := os.ReadFile(cfg.pki(source))
		if err != nil {
			return err
		}
		data[key] = base64.StdEncoding.EncodeToString(content)
	}
	rendered, err := render("kubeconfig.yaml", data)
	if err != nil {
		return err
	}
	return writeFile(file, rendered, 0o600)
}
