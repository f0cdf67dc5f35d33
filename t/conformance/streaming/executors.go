package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	streaming "k8s.io/streaming/pkg/httpstream"
)

// Gives a URL, each time another one: a token is good once.
type urls func() (*url.URL, error)

// A way to speak to a URL of Exec or Attach.
type transport struct {
	name     string
	executor func(next urls) (remotecommand.Executor, error)
}

var config = &rest.Config{}

func spdyExecutor(next urls, protocols ...string) (remotecommand.Executor, error) {
	u, err := next()
	if err != nil {
		return nil, err
	}
	if len(protocols) == 0 {
		return remotecommand.NewSPDYExecutor(config, "POST", u)
	}
	roundTripper, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewSPDYExecutorForProtocols(roundTripper, upgrader, "POST", u, protocols...)
}

func websocketExecutor(next urls, protocols ...string) (remotecommand.Executor, error) {
	u, err := next()
	if err != nil {
		return nil, err
	}
	if len(protocols) == 0 {
		return remotecommand.NewWebSocketExecutor(config, "GET", u.String())
	}
	return remotecommand.NewWebSocketExecutorForProtocols(config, "GET", u.String(), protocols...)
}

// As kubectl does it, with a server that takes no WebSocket: here, none of this protocol.
func fallbackExecutor(next urls) (remotecommand.Executor, error) {
	primary, err := websocketExecutor(next, "v0.of.nobody")
	if err != nil {
		return nil, err
	}
	secondary, err := spdyExecutor(next)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(primary, secondary, streaming.IsUpgradeFailure)
}

var transports = []transport{
	{"SPDY", func(next urls) (remotecommand.Executor, error) { return spdyExecutor(next) }},
	{"WebSocket", func(next urls) (remotecommand.Executor, error) { return websocketExecutor(next) }},
	{"fallback to SPDY", fallbackExecutor},
}

// ---- what is compared -------------------------------------------------------------------------------------------------

// The exit code that an executor's error says; 0 without one, -1 for any other error.
func exitCode(err error) int {
	var code exec.CodeExitError

	if err == nil {
		return 0
	}
	if errors.As(err, &code) {
		return code.Code
	}
	return -1
}

func wantCode(err error, code int) error {
	if got := exitCode(err); got != code {
		return fmt.Errorf("exit code %d and not %d: %w", got, code, err)
	}
	return nil
}

func wantText(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s is %.200q and not %.200q", what, got, want)
	}
	return nil
}

// A session's output, in which others wait for words.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
	grown chan struct{}
	over  chan struct{} // closed with the session's end
}

func newOutput() *output { return &output{grown: make(chan struct{}, 1), over: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.text.Write(p)
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

func (o *output) waitFor(ctx context.Context, words string) error {
	for over := false; !bytes.Contains([]byte(o.String()), []byte(words)); {
		if over {
			return fmt.Errorf("the session ended without %q, after %.300q", words, o.String())
		}
		select {
		case <-o.grown:
		case <-o.over:
			over = true // and all that it wrote is there
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %q, there is %.300q", words, o.String())
		}
	}
	return nil
}

// Sizes that are put into it, one after another.
type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	size, more := <-s
	if !more {
		return nil
	}
	return &size
}

// A session that runs beside its check.
type session struct {
	in     *io.PipeWriter
	out    *output
	result chan error
}

func startSession(ctx context.Context, t transport, next urls, s streams, queue remotecommand.TerminalSizeQueue) (*session, error) {
	x, err := t.executor(next)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	run := &session{w, newOutput(), make(chan error, 1)}
	o := remotecommand.StreamOptions{Stdout: run.out, Tty: s.tty, TerminalSizeQueue: queue}
	if s.in {
		o.Stdin = r
	}
	if s.err {
		o.Stderr = run.out
	}
	go func() {
		run.result <- x.StreamWithContext(ctx, o)
		close(run.out.over)
	}()
	return run, nil
}

func (s *session) say(ctx context.Context, words, answer string) error {
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(s.in, words)
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return fmt.Errorf("%q is not taken: %w", words, ctx.Err())
	}
	return s.out.waitFor(ctx, answer)
}

// How it ended.
func (s *session) end(ctx context.Context) error {
	select {
	case err := <-s.result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the session does not end, after %.300q", s.out.String())
	}
}
