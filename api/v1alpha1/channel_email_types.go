package v1alpha1

// EmailChannel is a mailbox that people write to: read by IMAP, answered by
// SMTP.
type EmailChannel struct {
	// Address of the mailbox, in lower case; mail is sent from it. Immutable.
	// +kubebuilder:validation:Pattern="^[a-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
	// +kubebuilder:validation:MaxLength=254
	Address string `json:"address"`

	// DisplayName stands beside the address in what is sent.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	DisplayName string `json:"displayName,omitempty"`

	// IMAP is the server with the mailbox.
	IMAP EmailIMAP `json:"imap"`

	// SMTP is the server that takes mail to be sent (submission, RFC 6409).
	SMTP EmailSMTP `json:"smtp"`

	// ReplyAddress is where answers are to go, if not to the address. What is sent
	// there must arrive in the mailbox.
	// +optional
	// +kubebuilder:validation:Pattern="^[a-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
	// +kubebuilder:validation:MaxLength=254
	ReplyAddress string `json:"replyAddress,omitempty"`

	// PlusAddressing lets answers be told apart by their address, for mail programs
	// that do not say which mail they answer: support+<token>@shop.example. The
	// mailbox must take such mail, or answers are lost.
	// +optional
	PlusAddressing bool `json:"plusAddressing,omitempty"`

	// Subject of a mail that answers none with a subject; "Your message" when left
	// out.
	// +optional
	// +kubebuilder:validation:MaxLength=200
	Subject string `json:"subject,omitempty"`

	// Auth is how to log in at both servers: with the address and the key
	// "password" of the credentials Secret when left out.
	// +optional
	Auth *EmailAuth `json:"auth,omitempty"`

	// CABundle are certificates in PEM that the servers' own are checked with,
	// in place of the public authorities.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	CABundle string `json:"caBundle,omitempty"`
}

// EmailTLS is how a connection to a mail server is encrypted.
// +kubebuilder:validation:Enum=Implicit;StartTLS;None
type EmailTLS string

const (
	// EmailTLSImplicit: from the first byte.
	EmailTLSImplicit EmailTLS = "Implicit"
	// EmailTLSStart: by the command STARTTLS, which must succeed.
	EmailTLSStart EmailTLS = "StartTLS"
	// EmailTLSNone: not at all.
	EmailTLSNone EmailTLS = "None"
)

// EmailIMAP is the server with the mailbox.
type EmailIMAP struct {
	// Host name of the server. One in a private address range needs a Bridge with
	// egress.allowPrivateHosts.
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`

	// Port; 993 when left out, 143 with StartTLS or None.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// TLS is Implicit, StartTLS or None, which needs a Bridge with
	// egress.allowPrivateHosts. When left out: StartTLS on port 143, else Implicit.
	// +optional
	TLS EmailTLS `json:"tls,omitempty"`

	// Mailbox to read; INBOX when left out. Mail is never moved or deleted.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Mailbox string `json:"mailbox,omitempty"`

	// MarkSeen marks mail as read once the store has it. When left out the mailbox
	// is opened read-only and nothing in it changes.
	// +optional
	MarkSeen bool `json:"markSeen,omitempty"`
}

// EmailSMTP is the server that takes mail to be sent.
type EmailSMTP struct {
	// Host name of the server. One in a private address range needs a Bridge with
	// egress.allowPrivateHosts.
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`

	// Port; 465 when left out, 587 with StartTLS or None.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// TLS is Implicit, StartTLS or None, which needs a Bridge with
	// egress.allowPrivateHosts. When left out: StartTLS on port 587, else Implicit.
	// +optional
	TLS EmailTLS `json:"tls,omitempty"`
}

// EmailAuthType is what a login proves itself with.
// +kubebuilder:validation:Enum=Password;OAuth2
type EmailAuthType string

const (
	// EmailAuthPassword: with the key "password".
	EmailAuthPassword EmailAuthType = "Password"
	// EmailAuthOAuth2: with an access token (XOAUTH2, OAUTHBEARER).
	EmailAuthOAuth2 EmailAuthType = "OAuth2"
)

// EmailAuth is how to log in at the mail servers.
// +kubebuilder:validation:XValidation:rule="!has(self.oauth2) || (has(self.type) && self.type == 'OAuth2')",message="oauth2 belongs to type OAuth2"
type EmailAuth struct {
	// Type is Password (when left out) or OAuth2.
	// +optional
	Type EmailAuthType `json:"type,omitempty"`

	// Username; the address when left out.
	// +optional
	// +kubebuilder:validation:MaxLength=254
	Username string `json:"username,omitempty"`

	// OAuth2 says where access tokens come from. When left out, the key
	// "accessToken" of the credentials Secret is one, which something else renews.
	// +optional
	OAuth2 *EmailOAuth2 `json:"oauth2,omitempty"`
}

// EmailOAuth2 gets access tokens with the key "refreshToken" of the credentials
// Secret or, without one, with "clientSecret" alone (client credentials).
type EmailOAuth2 struct {
	// TokenURL of the authorization server, like
	// https://oauth2.googleapis.com/token.
	// +kubebuilder:validation:Pattern=`^https://[^ ]+$`
	// +kubebuilder:validation:MaxLength=1024
	TokenURL string `json:"tokenURL"`

	// ClientID of the application that was given access.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ClientID string `json:"clientID"`

	// Scopes to ask for, like https://outlook.office365.com/.default.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	Scopes []string `json:"scopes,omitempty"`
}
