// The streams of a CRI runtime (Exec, Attach, PortForward), spoken to with the libraries that kubectl, kubelets and crictl are
// made of. Each part prints "ok - NAME" or "not ok - NAME" and why, a line a check, and fails when one of them did.
//
//	client -socket FILE [-container ID] [-pod ID] PART
//	client serve | sink                                     in a container: to be forwarded to, to read what is sent
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// A check that takes longer hangs.
const limit = 30 * time.Second

type options struct {
	cri       *cri
	container string
	pod       string
	port      int
	transport int
	kind      string
	sessions  int
	megabytes int64
	processes string
}

var parts = map[string]func(*options){
	"exec":        checkExec,
	"versions":    checkVersions,
	"attach":      checkAttach,
	"attach-once": checkAttachOnce,
	"attach-tty":  checkAttachTTY,
	"forward":     checkForward,
	"measure":     measure,
	"hold":        hold,
}

var failed int

// Runs one check and says how it went.
func check(name string, f func(ctx context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := f(ctx)
	if err == nil {
		fmt.Printf("ok - %s\n", name)
		return
	}
	failed++
	fmt.Printf("not ok - %s\n# %v\n", name, err)
}

// What must work for there to be anything to check.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func main() {
	var o options
	var socket string

	// the libraries report every client that goes away; what counts is checked
	klog.SetLogger(logr.Discard())
	log.SetFlags(0)
	flag.StringVar(&socket, "socket", "", "the runtime's socket")
	flag.StringVar(&o.container, "container", "", "the container to exec in or attach to")
	flag.StringVar(&o.pod, "pod", "", "the pod to forward to")
	flag.IntVar(&o.port, "port", 7000, "serve: echo here, discard and a source on the next two; forward, measure: where that is")
	flag.IntVar(&o.transport, "transport", 0, "attach-once: 0 SPDY, 1 WebSocket, 2 fallback")
	flag.StringVar(&o.kind, "kind", "exec", "hold: exec, attach or port-forward")
	flag.IntVar(&o.sessions, "sessions", 50, "hold: how many")
	flag.Int64Var(&o.megabytes, "megabytes", 500, "measure: how much each way")
	flag.StringVar(&o.processes, "processes", "", "measure: what the names of the runtime's processes begin with")
	flag.Parse()
	switch flag.Arg(0) {
	case "serve":
		log.Fatal(serve(o.port))
	case "sink":
		must(0, sink())
		return
	}
	part := parts[flag.Arg(0)]
	if part == nil || socket == "" {
		flag.Usage()
		os.Exit(2)
	}
	o.cri = must(newCRI(socket))
	part(&o)
	if failed > 0 {
		os.Exit(1)
	}
}
