package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// namespace of everything that is applied.
const namespace = "shop"

// kindOf reads "group/version/Kind".
func kindOf(s string) schema.GroupVersionKind {
	i := strings.LastIndex(s, "/")
	gv, err := schema.ParseGroupVersion(s[:i])
	if err != nil {
		panic(err) // a constant of ours
	}
	return gv.WithKind(s[i+1:])
}

func channelName(i int) string { return fmt.Sprintf("telegram-%05d", i) }

func credentials(i, version int) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: channelName(i), Labels: map[string]string{v1alpha1.CredentialsLabel: "true"}},
		StringData: map[string]string{"token": fmt.Sprintf("%d:AAHdqTcvCH1vGWJxfSeofSAs0K5PA%06d", 100_000+i, version)},
	}
}

func channel(i int) *v1alpha1.Channel {
	return &v1alpha1.Channel{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: channelName(i)},
		Spec: v1alpha1.ChannelSpec{
			Platform:    v1alpha1.PlatformTelegram,
			Telegram:    &v1alpha1.TelegramChannel{BotID: fmt.Sprint(100_000 + i)},
			Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: channelName(i)}},
		},
	}
}

// writers at a time, as a `kubectl apply` in some pipelines would.
const writers = 16

// each runs f for the numbers of a range, several at a time, and returns the
// first error.
func each(from, to int, f func(i int) error) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		next  = make(chan int)
	)
	for range writers {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
				}
			}
		})
	}
	for i := from; i < to; i++ {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// applyChannels makes Secrets and Channels.
func applyChannels(ctx context.Context, c client.Client, from, to int) error {
	return each(from, to, func(i int) error {
		if err := c.Create(ctx, credentials(i, 0)); err != nil {
			return err
		}
		return c.Create(ctx, channel(i))
	})
}

// readiness counts Channels that are Ready, with their webhook registered, in
// the generation that they have.
type readiness struct {
	mu    sync.Mutex
	ready map[string]bool
	moved chan struct{}
}

func watchReadiness(ctx context.Context, s *server) (*readiness, error) {
	r := &readiness{ready: map[string]bool{}, moved: make(chan struct{}, 1)}
	informer, err := s.cache.GetInformer(ctx, &v1alpha1.Channel{})
	if err != nil {
		return nil, err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { r.see(o) }, UpdateFunc: func(_, o any) { r.see(o) },
	})
	return r, err
}

func (r *readiness) see(o any) {
	ch, ok := o.(*v1alpha1.Channel)
	if !ok {
		return
	}
	is := ch.Status.ObservedGeneration == ch.Generation
	for _, condition := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionWebhookRegistered, v1alpha1.ConditionCredentialsValid} {
		is = is && meta.IsStatusConditionTrue(ch.Status.Conditions, condition)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if is {
		r.ready[ch.Name] = true
	} else {
		delete(r.ready, ch.Name)
	}
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// wait returns when n are ready, or when who makes them so has ended.
func (r *readiness) wait(ctx context.Context, n int, ended <-chan struct{}) error {
	for {
		r.mu.Lock()
		have := len(r.ready)
		r.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-r.moved:
		case <-ended:
			return fmt.Errorf("%d of %d Channels are ready, and the operator has ended", have, n)
		case <-ctx.Done():
			return fmt.Errorf("%d of %d Channels are ready: %w", have, n, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}
