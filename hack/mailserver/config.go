package mailserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// certificates makes an authority and the servers' certificate, for 127.0.0.1.
func (s *Servers) certificates() (ca string, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &caKey.PublicKey, caKey)
	if err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, &key.PublicKey, caKey)
	if err != nil {
		return "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	if err := s.write("cert.pem", string(pemBlock("CERTIFICATE", der)), 0o644); err != nil {
		return "", err
	}
	return string(pemBlock("CERTIFICATE", caDER)), s.write("key.pem", string(pemBlock("PRIVATE KEY", keyDER)), 0o600)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (s *Servers) write(name, content string, mode os.FileMode) error {
	return os.WriteFile(filepath.Join(s.dir, name), []byte(content), mode)
}

// configure writes both servers' files and makes the mailboxes.
func (s *Servers) configure() error {
	var users, mailboxes strings.Builder
	for address, password := range s.Users {
		fmt.Fprintf(&users, "%s:{PLAIN}%s\n", address, password)
		fmt.Fprintf(&mailboxes, "%s %s/Maildir/\n", address, address)
	}
	fmt.Fprintf(&mailboxes, "%s nobody/Maildir/\n", Gone)
	for _, dir := range []string{"mail", "postfix", "queue", "data"} {
		if err := os.Mkdir(filepath.Join(s.dir, dir), 0o755); err != nil { //nolint:gosec // the servers' users go through it
			return err
		}
	}
	if err := os.Chown(filepath.Join(s.dir, "mail"), mailUser, mailUser); err != nil {
		return err
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	uid, _ := strconv.Atoi(owner.Uid) // the system's own number
	if err := os.Chown(filepath.Join(s.dir, "data"), uid, -1); err != nil {
		return err
	}
	capability := ""
	if s.Capability != "" {
		capability = "imap_capability = " + s.Capability
	}
	fill := strings.NewReplacer("@dir@", s.dir, "@capability@", capability, "@tokens@", s.tokens.URL,
		"@imap@", fmt.Sprint(s.IMAP), "@imaps@", fmt.Sprint(s.IMAPS), "@submission@", fmt.Sprint(s.Submission), "@submissions@", fmt.Sprint(s.Submissions),
		"@user@", fmt.Sprint(mailUser), "@domains@", ShopDomain+" "+CustomerDomain, "@gone@", Gone)
	files := map[string]string{
		"dovecot.conf": dovecotConf, "oauth2.conf": oauth2Conf, "postfix/main.cf": mainCF, "postfix/master.cf": masterCF, "postfix/transport": "@gone@ gone:\n",
	}
	for name, content := range files {
		if err := s.write(name, fill.Replace(content), 0o644); err != nil {
			return err
		}
	}
	if err := s.write("users", users.String(), 0o644); err != nil { // read by Dovecot's own user
		return err
	}
	lines := strings.Split(mailboxes.String(), "\n")
	slices.Sort(lines)
	return s.write("postfix/mailboxes", strings.TrimLeft(strings.Join(lines, "\n"), "\n")+"\n", 0o644)
}

const dovecotConf = `
protocols = imap
base_dir = @dir@/run
instance_name = bridgekeeper-test
log_path = @dir@/dovecot.log
listen = 127.0.0.1
ssl = yes
ssl_cert = <@dir@/cert.pem
ssl_key = <@dir@/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2 oauthbearer
auth_failure_delay = 0
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 100
@capability@
passdb {
  driver = passwd-file
  args = username_format=%u @dir@/users
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = @dir@/oauth2.conf
}
userdb {
  driver = static
  args = uid=@user@ gid=@user@ home=@dir@/mail/%u
}
service imap-login {
  inet_listener imap {
    port = @imap@
  }
  inet_listener imaps {
    port = @imaps@
    ssl = yes
  }
}
service auth {
  unix_listener @dir@/auth {
    mode = 0666
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
`

const oauth2Conf = `
introspection_mode = post
introspection_url = @tokens@/introspect
username_attribute = email
active_attribute = active
active_value = true
`

const mainCF = `
compatibility_level = 3.6
maillog_file = @dir@/postfix.log
maillog_file_prefixes = @dir@
queue_directory = @dir@/queue
data_directory = @dir@/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.shop.test
mydestination =
mynetworks =
virtual_mailbox_domains = @domains@
virtual_mailbox_maps = texthash:@dir@/postfix/mailboxes
virtual_mailbox_base = @dir@/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:@user@
virtual_gid_maps = static:@user@
transport_maps = texthash:@dir@/postfix/transport
recipient_delimiter = +
alias_maps =
alias_database =
biff = no
message_size_limit = 30000000
mailbox_size_limit = 0
smtpd_tls_cert_file = @dir@/cert.pem
smtpd_tls_key_file = @dir@/key.pem
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = @dir@/auth
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_recipient_restrictions = permit_sasl_authenticated, reject

smtpd_delay_reject = no
smtpd_helo_required = yes
smtpd_helo_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname
smtpd_error_sleep_time = 0
smtpd_client_connection_rate_limit = 0
`

const masterCF = `
127.0.0.1:@submission@ inet n - n - - smtpd
127.0.0.1:@submissions@ inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
gone unix - n n - - pipe
  user=nobody argv=/bin/sh -c {exit 67}
`
