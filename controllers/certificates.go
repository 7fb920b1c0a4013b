package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/controllers/pki"
	"github.com/bridgekeeper/bridgekeeper/controllers/workload"
)

// AuthoritySecret is the Secret in the operator's namespace that holds the
// certificate authority. It is made once and kept: deleting it makes the
// operator draw a new one, and pods meet strangers until they have it.
const AuthoritySecret = "bridgekeeper-ca"

// certificates keeps the authority and issues what Bridges and stores need.
type certificates struct {
	client    client.Client
	namespace string
	now       func() time.Time
	// issued is told the authorities in force, whenever they are looked at; nil: nobody.
	issued func(a *pki.Authorities, now time.Time) error

	mu          sync.Mutex
	authorities *pki.Authorities
	version     string // resourceVersion that authorities were read at
}

// ensure reads the authorities, moves their rotation on, and keeps the result.
func (c *certificates) ensure(ctx context.Context) (*pki.Authorities, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, err := c.step(ctx)
	if err == nil && c.issued != nil {
		err = c.issued(a, c.now())
	}
	return a, err
}

func (c *certificates) step(ctx context.Context) (*pki.Authorities, error) {
	name := types.NamespacedName{Namespace: c.namespace, Name: AuthoritySecret}
	secret := &corev1.Secret{}
	err := c.client.Get(ctx, name, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	found := err == nil
	if c.authorities == nil || secret.ResourceVersion != c.version {
		if c.authorities, err = pki.Load(secret.Data); err != nil {
			return nil, fmt.Errorf("secret %s is damaged: %w; delete it to have a new authority drawn", name, err)
		}
		c.version = secret.ResourceVersion
	}
	changed, err := c.authorities.Step(c.now())
	if err != nil || !changed {
		return c.authorities, err
	}
	data, err := c.authorities.Data()
	if err != nil {
		return nil, err
	}
	if err := c.write(ctx, name, secret, found, data); err != nil {
		c.authorities = nil // somebody else was faster, or it was not kept: read again
		return nil, err
	}
	return c.authorities, nil
}

func (c *certificates) write(ctx context.Context, name types.NamespacedName, secret *corev1.Secret, found bool, data map[string][]byte) error {
	secret.Data = data
	if found {
		if err := c.client.Update(ctx, secret, client.FieldOwner(FieldOwner)); err != nil {
			return err
		}
	} else {
		secret.ObjectMeta = metav1.ObjectMeta{
			Namespace: name.Namespace, Name: name.Name,
			Labels: workload.SecretLabels(nil),
		}
		if err := c.client.Create(ctx, secret, client.FieldOwner(FieldOwner)); err != nil {
			return err
		}
	}
	c.version = secret.ResourceVersion
	return nil
}

// secret builds the certificate Secret of a child, renewed from what stands.
func (c *certificates) secret(ctx context.Context, owner metav1.OwnerReference, namespace, child string, leaf pki.Leaf) (*corev1.Secret, error) {
	authorities, err := c.ensure(ctx)
	if err != nil {
		return nil, err
	}
	name := types.NamespacedName{Namespace: namespace, Name: workload.TLSSecret(child)}
	live := &corev1.Secret{}
	if err := c.client.Get(ctx, name, live); err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	data, _, err := authorities.Renew(live.Data, leaf, c.now())
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name.Name, Labels: workload.SecretLabels(nil), OwnerReferences: []metav1.OwnerReference{owner},
		},
		Type: corev1.SecretTypeTLS,
		Data: data,
	}, nil
}

// renewIn is when a certificate Secret wants to be looked at again.
func (c *certificates) renewIn(secret *corev1.Secret) time.Duration {
	return max(time.Minute, pki.RenewAt(secret.Data).Sub(c.now()))
}
