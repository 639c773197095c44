package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// webhook is a running pullcred.
type webhook struct {
	command *exec.Cmd
	address string
	admin   string
	ended   chan error
}

// start runs pullcred on free ports and waits until it is ready.
func start(o options, more ...string) (*webhook, error) {
	return startAt(o, "127.0.0.1:0", more...)
}

// startAt is start with an address for admission.
func startAt(o options, address string, more ...string) (*webhook, error) {
	file := func(name string) string { return filepath.Join(o.folder, name) }
	filter := "pullcred=info,pullcred::webhook::admission=off"
	if o.deaf {
		filter = "info"
	}
	arguments := append([]string{
		"webhook", "--config", file("mapping.yaml"), "--tls-cert", file("tls.crt"), "--tls-key", file("tls.key"),
		"--listen", address, "--admin-listen", "127.0.0.1:0", "--log-format", "json", "--log", filter,
	}, more...)
	arguments = o.group.command(o.binary, arguments)
	command := exec.Command(arguments[0], arguments[1:]...)
	// It must not outlive this program, however that ends.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	w := &webhook{command: command, ended: make(chan error, 1)}
	lines := bufio.NewReader(log)
	for w.address == "" {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			_ = command.Wait()
			return nil, fmt.Errorf("pullcred does not start: %s", line)
		}
		var entry struct{ Message, Address, Admin_address string }
		if json.Unmarshal(line, &entry) == nil && entry.Message == "serving" {
			w.address, w.admin = entry.Address, entry.Admin_address
		}
	}
	go func() {
		if !o.deaf {
			_, _ = io.Copy(io.Discard, lines)
		}
		w.ended <- command.Wait()
		close(w.ended)
	}()
	for range 200 {
		if status, _ := w.page("/readyz"); status == http.StatusOK {
			return w, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.kill()
	return nil, errors.New("pullcred does not become ready")
}

func (w *webhook) page(path string) (int, string) {
	response, err := http.Get("http://" + w.admin + path)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

func (w *webhook) terminate() { _ = w.command.Process.Signal(syscall.SIGTERM) }

func (w *webhook) kill() {
	_ = w.command.Process.Kill()
	<-w.ended
}

// wait waits for the webhook to leave by itself, with exit code 0.
func (w *webhook) wait(patience time.Duration) error {
	select {
	case err := <-w.ended:
		return err
	case <-time.After(patience):
		w.kill()
		return errors.New("pullcred does not leave")
	}
}

// rss is the memory that the webhook holds now, in KiB.
func (w *webhook) rss() int { return w.status("VmRSS:") }

// peak is the most that it ever held, in KiB.
func (w *webhook) peak() int { return w.status("VmHWM:") }

func (w *webhook) status(field string) int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.command.Process.Pid))
	_, rest, _ := strings.Cut(string(status), field)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.Atoi(fields[0])
	return kib
}

// metric is the value of one sample, 0 where there is none.
func (w *webhook) metric(sample string) int {
	_, text := w.page("/metrics")
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, sample+" "); found {
			number, _ := strconv.Atoi(strings.TrimSpace(value))
			return number
		}
	}
	return 0
}

// until waits for a sample to reach a value, and no more than that.
func (w *webhook) until(sample string, value int) error {
	for range 500 {
		if w.metric(sample) >= value {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if is := w.metric(sample); is != value {
		return fmt.Errorf("%s is %d and not %d", sample, is, value)
	}
	return nil
}

// leaf is the serial number of the certificate with which a new connection is served.
func (w *webhook) leaf() (string, error) {
	connection, err := tls.Dial("tcp", w.address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer connection.Close()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}
