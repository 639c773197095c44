package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bodyMost is the largest body that the webhook reads.
const bodyMost = 16 << 20

// hostileBodies are reviews of 16 MiB, each made to become much more than its bytes in one way.
func hostileBodies() map[string][]byte {
	review := func(uid, object string) []byte {
		return []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"` + uid +
			`","kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"shop","operation":"CREATE","object":` + object + `}}`)
	}
	// A Pod that ends in as many pieces as fit between before and after.
	filled := func(before, piece, after string) []byte {
		room := bodyMost - len(review("u", before+after))
		pieces := strings.TrimSuffix(strings.Repeat(piece, room/len(piece)), ",")
		return review("u", before+pieces+after)
	}
	bodies := map[string][]byte{
		"uid":             review(strings.Repeat("u", bodyMost-2000), `{"spec":{"containers":[{"image":"nginx"}]}}`),
		"images":          filled(`{"spec":{"containers":[`, `{"image":"a.b/c"},`, `]}}`),
		"image volumes":   filled(`{"spec":{"volumes":[`, `{"image":{"reference":"a.b/c"}},`, `]}}`),
		"escaped images":  filled(`{"spec":{"containers":[`, `{"image":"\u0061"},`, `]}}`),
		"long texts":      filled(`{"spec":{"containers":[{"image":"nginx"},`, `{"image":"\u0061`+strings.Repeat("a", 60_000)+`"},`, `]}}`),
		"one image":       filled(`{"spec":{"containers":[{"image":"\n`, `a`, `"}]}}`),
		"a host":          filled(`{"spec":{"containers":[{"image":"`, `A`, `.io/app"}]}}`),
		"a key":           filled(`{"spec":{"\n`, `a`, `":1}}`),
		"a name":          filled(`{"metadata":{"generateName":"`, `a`, `"},"spec":{"containers":[{"image":"nginx"}]}}`),
		"labels":          filled(`{"metadata":{"labels":{`, `"\u0061":"b",`, `}}}`),
		"owners":          filled(`{"metadata":{"ownerReferences":[`, `{"kind":"\u0061"},`, `]},"spec":{"containers":[{"image":"nginx"}]}}`),
		"a wrong type":    filled(`{"spec":{"containers":"`, "\x7f", `"}}`),
		"a wrong label":   filled(`{"metadata":{"labels":"`, "\x7f", `"}}`),
		"nesting":         filled(`{"spec":{"x":`, `[`, `}}`),
		"no end":          filled(`{"spec":{"containers":[{"image":"nginx"}],"x":"`, `\u0001`, ``),
		"managed fields":  filled(`{"metadata":{"managedFields":[`, `{"f:a":{"f:b":{}}},`, `]}}`),
		"many duplicates": filled(`{"spec":{"containers":[],"x":1,`, `"x":1,`, `}}`),
	}
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers", "volumes", "imagePullSecrets"} {
		bodies[list] = filled(`{"spec":{"`+list+`":[`, `{},`, `]}}`)
	}
	return bodies
}

// hostile keeps attackers at work beside ordinary callers, with little memory for the webhook, whose log nobody reads.
func hostile(o options) (map[string]any, error) {
	c, err := newClient(o.folder)
	if err != nil {
		return nil, err
	}
	group, err := newMemoryGroup(o.memory << 20)
	if err != nil {
		return nil, err
	}
	defer group.remove()
	o.group, o.deaf = group, true
	w, err := start(o, strings.Fields(o.more)...)
	if err != nil {
		return nil, err
	}
	defer w.kill()
	c.lead(w.address)

	bodies := hostileBodies()
	names := make([]string, 0, len(bodies))
	for name := range bodies {
		names = append(names, name)
	}
	before := w.rss()
	done := make(chan struct{})
	var attackers sync.WaitGroup
	var statuses sync.Map
	var attacks, next atomic.Int64
	for n := range o.slow {
		attackers.Go(func() {
			for round := n; ; round++ {
				select {
				case <-done:
					return
				default:
				}
				if round%8 == 7 {
					unread(w.address, c.review, done)
					attacks.Add(1)
					continue
				}
				name := names[int(next.Add(1))%len(names)]
				status := attack(w.address, bodies[name], round%3 != 2, round%2 == 0, done)
				counter, _ := statuses.LoadOrStore(status, new(atomic.Int64))
				counter.(*atomic.Int64).Add(1)
				attacks.Add(1)
			}
		})
	}
	for range o.crowd {
		attackers.Go(func() { crowd(w.address, done) })
	}
	stop := c.load(o.callers)
	most, connections := 0, 0
	alive := true
	for end := time.Now().Add(o.seconds); time.Now().Before(end) && alive; time.Sleep(100 * time.Millisecond) {
		most = max(most, w.rss())
		connections = max(connections, w.metric("pullcred_connections"))
		select {
		case <-w.ended:
			alive = false
		default:
		}
	}
	peak := w.peak()
	stop()
	close(done)
	summary := c.summary()
	ofAttacks := map[string]int64{}
	statuses.Range(func(status, count any) bool { ofAttacks[status.(string)] = count.(*atomic.Int64).Load(); return true })
	summary["connections_most"] = connections
	summary["alive"], summary["attacks"], summary["statuses"] = alive, attacks.Load(), ofAttacks
	summary["rss_kib_before"], summary["rss_kib_most"], summary["rss_kib_peak"] = before, most, peak
	summary["group_kib_most"], summary["group_tcp_kib_most"], summary["in_group"] = group.most(), group.tcp(), group.path != ""
	summary["log_lines_dropped"] = w.metric("pullcred_log_lines_dropped_total")
	summary["shed"], summary["panics"] = w.metric("pullcred_admission_shed_total"), w.metric("pullcred_panics_total")
	attackers.Wait()
	return summary, nil
}

func dial(address string) (*tls.Conn, error) {
	connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	}
	return connection, err
}

// attack sends one body, announced or in chunks, and reads the answer or leaves it for a while. It returns the status.
func attack(address string, body []byte, announced, read bool, done chan struct{}) string {
	connection, err := dial(address)
	if err != nil {
		return "no connection"
	}
	defer connection.Close()
	head := "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	if announced {
		_, _ = io.WriteString(connection, head+"Content-Length: "+strconv.Itoa(len(body))+"\r\n\r\n")
		_, err = connection.Write(body)
	} else {
		_, _ = io.WriteString(connection, head+"Transfer-Encoding: chunked\r\n\r\n"+strconv.FormatInt(int64(len(body)), 16)+"\r\n")
		_, _ = connection.Write(body)
		_, err = io.WriteString(connection, "\r\n0\r\n\r\n")
	}
	if err != nil {
		return "broken off"
	}
	if !read {
		select {
		case <-done:
		case <-time.After(time.Second):
		}
		return "unread"
	}
	status := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(connection, status); err != nil {
		return "no answer"
	}
	return string(status[len("HTTP/1.1 "):])
}

// crowd holds all but the end of a small body, which is not in the budget for large ones, one connection after another.
func crowd(address string, done chan struct{}) {
	for {
		connection, err := dial(address)
		if err == nil {
			_, _ = io.WriteString(connection, "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 16384\r\n\r\n"+strings.Repeat(" ", 16000))
			go func() { <-done; connection.Close() }()
			_, _ = connection.Read(make([]byte, 1)) // until it is told that it took too long
			connection.Close()
		}
		select {
		case <-done:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unread sends reviews one after the other and reads no answer, until the webhook takes no more of them.
func unread(address string, review []byte, done chan struct{}) {
	connection, err := dial(address)
	if err != nil {
		return
	}
	defer connection.Close()
	head := "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(review)) + "\r\n\r\n"
	request := append([]byte(head), review...)
	requests := bytes.Repeat(request, 64)
	_ = connection.SetWriteDeadline(time.Now().Add(2 * time.Second))
	for {
		if _, err := connection.Write(requests); err != nil {
			break
		}
	}
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
}

// memoryGroup is a control group whose processes have so much memory and no more.
type memoryGroup struct {
	path string // empty where there may be none
	two  bool
}

// newMemoryGroup makes a group of version 1 or 2. Without the right to, there is none, and the peak of the process must do.
func newMemoryGroup(limit int) (*memoryGroup, error) {
	name := "pullcred-load-" + strconv.Itoa(os.Getpid())
	for _, g := range []*memoryGroup{{path: "/sys/fs/cgroup/memory/" + name}, {path: "/sys/fs/cgroup/" + name, two: true}} {
		if g.two {
			if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
				continue
			}
		}
		if os.Mkdir(g.path, 0o755) != nil {
			continue
		}
		files := []string{"memory.limit_in_bytes"}
		if g.two {
			files = []string{"memory.max", "memory.swap.max"}
		}
		for n, file := range files {
			value := strconv.Itoa(limit)
			if n > 0 {
				value = "0"
			}
			if err := os.WriteFile(filepath.Join(g.path, file), []byte(value), 0o644); err != nil && n == 0 {
				g.remove()
				g.path = ""
				break
			}
		}
		if g.path != "" {
			return g, nil
		}
	}
	return &memoryGroup{}, nil
}

// command is binary with its arguments, started within the group.
func (g *memoryGroup) command(binary string, arguments []string) []string {
	if g == nil || g.path == "" {
		return append([]string{binary}, arguments...)
	}
	enter := fmt.Sprintf(`echo $$ >%s/cgroup.procs && exec "$0" "$@"`, g.path)
	return append([]string{"sh", "-c", enter, binary}, arguments...)
}

func (g *memoryGroup) kib(file string) int {
	text, _ := os.ReadFile(filepath.Join(g.path, file))
	number, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return number / 1024
}

func (g *memoryGroup) most() int {
	if g.two {
		return g.kib("memory.peak")
	}
	return g.kib("memory.max_usage_in_bytes")
}

// tcp is what the kernel held for sockets at most, which version 1 counts apart.
func (g *memoryGroup) tcp() int { return g.kib("memory.kmem.tcp.max_usage_in_bytes") }

func (g *memoryGroup) remove() {
	for range 100 {
		if g.path == "" || os.Remove(g.path) == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
