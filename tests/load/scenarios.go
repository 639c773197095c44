package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// rollouts replaces two replicas under load, one at a time and with one more meanwhile, as a Deployment does. The endpoint of a replica that
// leaves is taken away a second after its SIGTERM, as it happens in a cluster.
func rollouts(o options) (map[string]any, error) {
	c, err := newClient(o.folder)
	if err != nil {
		return nil, err
	}
	var replicas []*webhook
	defer func() {
		for _, w := range replicas {
			w.kill()
		}
	}()
	for range 2 {
		w, err := start(o)
		if err != nil {
			return nil, err
		}
		replicas = append(replicas, w)
	}
	addresses := func() (list []string) {
		for _, w := range replicas {
			list = append(list, w.address)
		}
		return list
	}
	c.lead(addresses()...)
	stop := c.load(o.callers)
	var leaving sync.WaitGroup
	var stuck sync.Map
	done := 0
	for ; done < o.rounds || c.ok.Load() < o.calls; done++ {
		for range 2 {
			next, err := start(o)
			if err != nil {
				stop()
				return nil, err
			}
			old := replicas[0]
			replicas = append(replicas[1:], next)
			c.lead(append(addresses(), old.address)...)
			old.terminate()
			time.Sleep(time.Second)
			c.lead(addresses()...)
			leaving.Go(func() {
				if err := old.wait(110 * time.Second); err != nil {
					stuck.Store(old.address, err)
				}
			})
		}
	}
	stop()
	// In a cluster the calls go on, or the API server closes what it has not used for 90 seconds.
	c.http.CloseIdleConnections()
	leaving.Wait()
	summary := c.summary()
	summary["rollouts"] = done
	count := 0
	stuck.Range(func(_, err any) bool { count++; summary["stuck_error"] = fmt.Sprint(err); return true })
	summary["stuck"] = count
	return summary, nil
}

// slow holds clients that are slow in their handshake, headers or body beside an ordinary load.
func slow(o options) (map[string]any, error) {
	c, err := newClient(o.folder)
	if err != nil {
		return nil, err
	}
	w, err := start(o)
	if err != nil {
		return nil, err
	}
	defer w.kill()
	c.lead(w.address)
	stop := c.load(o.callers)
	time.Sleep(o.seconds / 2)
	before := c.summary()
	rssBefore := w.rss()
	c.forget()

	done := make(chan struct{})
	var group sync.WaitGroup
	for n := range o.slow {
		group.Go(func() { slowly(w.address, n, done) })
	}
	most, connections := 0, 0
	for end := time.Now().Add(o.seconds); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		most = max(most, w.rss())
		connections = max(connections, w.metric("pullcred_connections"))
	}
	summary := c.summary()
	stop()
	close(done)
	group.Wait()
	summary["slow_clients"], summary["connections_most"] = o.slow, connections
	summary["p50_us_before"], summary["p99_us_before"] = before["p50_us"], before["p99_us"]
	summary["rss_kib_before"], summary["rss_kib_most"] = rssBefore, most
	return summary, nil
}

// slowly is one slow client after another, until done.
func slowly(address string, n int, done chan struct{}) {
	for {
		connection, err := net.DialTimeout("tcp", address, 30*time.Second)
		if err != nil {
			return
		}
		var text string
		switch n % 3 {
		case 0: // a handshake that never comes
		case 1:
			text = "POST /mutate HTTP/1.1\r\nHost: " + strings.Repeat("x", 60_000)
		case 2:
			text = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 100000)
		}
		if text != "" {
			secure := tls.Client(connection, &tls.Config{InsecureSkipVerify: true})
			if secure.Handshake() == nil {
				connection = secure
			}
		}
		dripped := drip(connection, text, done)
		connection.Close()
		if !dripped {
			return
		}
	}
}

// drip writes most of text at once, to be held in memory, and then a byte each 100 ms until the server hangs up, which is true, or done, which is
// false.
func drip(connection net.Conn, text string, done chan struct{}) bool {
	first := max(len(text)-1000, 0)
	if _, err := connection.Write([]byte(text[:first])); err != nil {
		return true
	}
	for at := first; ; at++ {
		select {
		case <-done:
			return false
		case <-time.After(100 * time.Millisecond):
		}
		if at < len(text) {
			if _, err := connection.Write([]byte(text[at : at+1])); err != nil {
				return true
			}
			continue
		}
		_ = connection.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := connection.Read(make([]byte, 1)); err != nil && !os.IsTimeout(err) {
			return true
		}
	}
}

const (
	certificateLoads = `pullcred_certificate_reloads_total{result="success"}`
	mappingLoads     = `pullcred_config_reloads_total{result="success"}`
)

// swaps replaces certificate and mapping under load, as the kubelet replaces mounted files.
func swaps(o options) (map[string]any, error) {
	c, err := newClient(o.folder)
	if err != nil {
		return nil, err
	}
	w, err := start(o, "--reload-interval", "50ms")
	if err != nil {
		return nil, err
	}
	defer w.kill()
	c.lead(w.address)
	stop := c.load(o.callers)
	begin := time.Now()
	leaves := map[string]bool{}
	for n := range o.rounds {
		// The next of the two pairs. Callers then need new connections, and so is the one that tells which pair is served.
		if err := swap(o.folder, "data-"+strconv.Itoa((n+1)%2)); err != nil {
			return nil, err
		}
		if err := w.until(certificateLoads, n+2); err != nil {
			return nil, err
		}
		c.http.CloseIdleConnections()
		leaf, err := w.leaf()
		if err != nil {
			return nil, err
		}
		leaves[leaf] = true
		// A mapping that differs by a comment.
		mapping := fmt.Sprintf("# version %d\nalways: [pull]\n", n)
		staged := filepath.Join(o.folder, "mapping.new")
		if err := os.WriteFile(staged, []byte(mapping), 0o600); err != nil {
			return nil, err
		}
		if err := os.Rename(staged, filepath.Join(o.folder, "mapping.yaml")); err != nil {
			return nil, err
		}
		if err := w.until(mappingLoads, n+2); err != nil {
			return nil, err
		}
		time.Sleep(time.Until(begin.Add(o.seconds * time.Duration(n+1) / time.Duration(o.rounds))))
	}
	stop()
	summary := c.summary()
	summary["certificate_loads"], summary["mapping_loads"], summary["leaves"] = w.metric(certificateLoads), w.metric(mappingLoads), len(leaves)
	summary["bad_loads"] = w.metric(`pullcred_certificate_reloads_total{result="failure"}`) + w.metric(`pullcred_config_reloads_total{result="failure"}`)
	return summary, nil
}

// swap makes ..data, through which tls.crt and tls.key are linked, lead to another folder.
func swap(folder, target string) error {
	staged := filepath.Join(folder, "..data_tmp")
	if err := os.Symlink(target, staged); err != nil {
		return err
	}
	return os.Rename(staged, filepath.Join(folder, "..data"))
}

// idle calls in bursts, with pauses in which pooled connections may go stale.
func idle(o options) (map[string]any, error) {
	c, err := newClient(o.folder)
	if err != nil {
		return nil, err
	}
	w, err := start(o)
	if err != nil {
		return nil, err
	}
	defer w.kill()
	c.lead(w.address)
	for _, text := range append(strings.Split(o.pauses, ","), "0") {
		var group sync.WaitGroup
		for range o.callers {
			group.Go(c.call)
		}
		group.Wait()
		pause, err := time.ParseDuration(strings.TrimSpace(text) + "s")
		if err != nil {
			return nil, err
		}
		time.Sleep(pause)
	}
	return c.summary(), nil
}

// kill ends one of two webhooks at once, again and again, as a node that dies would, and starts it again at the same address. Each has callers
// of its own. What counts as failed are the calls to the other one, and those to the killed one that began when it was back.
func kill(o options) (map[string]any, error) {
	var clients [2]*client
	var webhooks [2]*webhook
	for n := range clients {
		var err error
		if clients[n], err = newClient(o.folder); err != nil {
			return nil, err
		}
		if webhooks[n], err = start(o); err != nil {
			return nil, err
		}
		defer func() { webhooks[n].kill() }()
		clients[n].lead(webhooks[n].address)
		stop := clients[n].load(o.callers)
		defer stop()
	}
	mortal, other := clients[0], clients[1]
	var alive int // how many failed though the webhook lived all the time that they took
	var away time.Duration
	from := time.Now()
	for range o.rounds {
		time.Sleep(o.seconds / time.Duration(2*o.rounds))
		killed := time.Now()
		alive += mortal.failedWithin(from, killed)
		webhooks[0].kill()
		again, err := startAt(o, webhooks[0].address)
		if err != nil {
			return nil, err
		}
		webhooks[0] = again
		from = time.Now()
		away = max(away, from.Sub(killed))
	}
	time.Sleep(o.seconds / time.Duration(2*o.rounds))
	alive += mortal.failedWithin(from, time.Now())
	summary, ofMortal := other.summary(), mortal.summary()
	summary["failed"] = summary["failed"].(int) + alive
	summary["kills"], summary["lost_with_the_killed"], summary["away_us_most"] = o.rounds, ofMortal["failed"].(int)-alive, away.Microseconds()
	summary["ok_of_the_killed"] = ofMortal["ok"]
	return summary, nil
}
