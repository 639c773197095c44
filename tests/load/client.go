package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// client calls a webhook with the transport of kube-apiserver: HTTP/1.1, 25 idle connections a host, kept for 90 seconds, and no POST is sent
// twice (client-go: transport/cache.go; apimachinery: util/net/http.go; client-go: rest/request.go).
type client struct {
	http   *http.Client
	review []byte

	mutex     sync.Mutex
	endpoints []string // where a Service would lead; one is chosen for each connection
	latencies []time.Duration
	errors    map[string]int
	failures  []span
	ok        atomic.Int64
}

// span is the time that a call took.
type span struct{ began, ended time.Time }

func newClient(folder string) (*client, error) {
	review, err := os.ReadFile(filepath.Join(folder, "review.json"))
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("ca.crt holds no certificate")
	}
	c := &client{review: review, errors: map[string]int{}}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	c.http = &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 25,
			IdleConnTimeout:     90 * time.Second,
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, c.endpoint())
			},
		},
	}
	return c, nil
}

func (c *client) endpoint() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.endpoints[rand.IntN(len(c.endpoints))]
}

// lead makes these the endpoints of the Service. Connections that are open stay so.
func (c *client) lead(endpoints ...string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.endpoints = slices.Clone(endpoints)
}

// call sends the review once and notes what came of it.
func (c *client) call() {
	start := time.Now()
	err := c.post()
	took := time.Since(start)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err != nil {
		c.failures = append(c.failures, span{start, start.Add(took)})
		c.errors[kind(err)]++
		return
	}
	c.ok.Add(1)
	c.latencies = append(c.latencies, took)
}

func (c *client) post() error {
	// The request's own body can be read again, but that is for redirects: what the transport replays, it replays only if nothing was written.
	response, err := c.http.Post("https://webhook.test/mutate?timeout=10s", "application/json", bytes.NewReader(c.review))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Response struct {
			Allowed bool
			Patch   []byte
		}
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if !answer.Response.Allowed || len(answer.Response.Patch) == 0 {
		return errors.New("an answer without a patch")
	}
	return nil
}

// kind is an error without what differs from call to call.
func kind(err error) string {
	for _, known := range []string{"EOF", "connection refused", "connection reset", "broken pipe", "timeout", "deadline", "certificate"} {
		if strings.Contains(err.Error(), known) {
			return known
		}
	}
	return err.Error()
}

// load keeps callers calling, with a pause of up to 10 ms after each call, until the function that it returns is called.
func (c *client) load(callers int) (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				c.call()
				time.Sleep(time.Duration(rand.IntN(10_000)) * time.Microsecond)
			}
		})
	}
	return func() { close(done); group.Wait() }
}

// summary tells what came of the calls so far.
func (c *client) summary() map[string]any {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return map[string]any{
		"ok": c.ok.Load(), "failed": len(c.failures), "errors": c.errors,
		"p50_us": quantile(c.latencies, 0.50), "p99_us": quantile(c.latencies, 0.99),
	}
}

// failedWithin is how many calls failed that both began and ended in this time.
func (c *client) failedWithin(from, to time.Time) (count int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, call := range c.failures {
		if call.began.After(from) && call.ended.Before(to) {
			count++
		}
	}
	return count
}

// forget forgets the latencies so far.
func (c *client) forget() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.latencies = nil
}

func quantile(latencies []time.Duration, q float64) int64 {
	if len(latencies) == 0 {
		return 0
	}
	sorted := slices.Clone(latencies)
	slices.Sort(sorted)
	return sorted[int(q*float64(len(sorted)-1))].Microseconds()
}
