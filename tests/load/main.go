// Command load calls webhooks as kube-apiserver does, and tells what failed. Each subcommand is bounded in time, ends the processes that
// it started, and prints one line of JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// options are what all scenarios share.
type options struct {
	binary  string        // pullcred
	folder  string        // holds mapping.yaml, tls.crt, tls.key and review.json
	callers int           // callers at once
	seconds time.Duration // how long, where a scenario has no other end
	rounds  int           // rollouts, kills, or swaps of each kind
	calls   int64         // go on until so many calls are made
	slow    int           // slow clients
	pauses  string        // pauses between bursts, in seconds
	crowd   int           // connections that each hold most of a small body
	more    string        // more flags for the webhook
	memory  int           // memory for the webhook, in MiB
	group   *memoryGroup  // where the webhook runs
	deaf    bool          // whether nobody reads the log, which has a line for each call
}

var scenarios = map[string]func(options) (map[string]any, error){
	"hostile":  hostile,
	"idle":     idle,
	"kill":     kill,
	"rollouts": rollouts,
	"slow":     slow,
	"swaps":    swaps,
}

func main() {
	if len(os.Args) < 2 || scenarios[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load hostile|idle|kill|rollouts|slow|swaps [flags]")
		os.Exit(2)
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.binary, "binary", "pullcred", "the binary under test")
	flags.StringVar(&o.folder, "folder", ".", "the folder with mapping.yaml, tls.crt, tls.key and review.json")
	flags.IntVar(&o.callers, "callers", 20, "callers at once")
	flags.DurationVar(&o.seconds, "for", 5*time.Second, "how long")
	flags.IntVar(&o.rounds, "rounds", 3, "rollouts, kills, or swaps of each kind")
	flags.Int64Var(&o.calls, "calls", 0, "go on until so many calls are made")
	flags.IntVar(&o.slow, "slow", 300, "slow clients")
	flags.StringVar(&o.pauses, "pauses", "1,2", "pauses between bursts, in seconds")
	flags.StringVar(&o.more, "webhook-flags", "", "more flags for the webhook, separated by spaces")
	flags.IntVar(&o.crowd, "crowd", 0, "connections that each hold most of a small body")
	flags.IntVar(&o.memory, "memory", 128, "memory for the webhook, in MiB")
	_ = flags.Parse(os.Args[2:])

	summary, err := scenarios[os.Args[1]](o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	line, _ := json.Marshal(summary)
	fmt.Println(string(line))
}
