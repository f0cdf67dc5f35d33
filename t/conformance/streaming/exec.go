package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"k8s.io/client-go/tools/remotecommand"
)

func (o *options) execURLs(ctx context.Context, s streams, command ...string) urls {
	return func() (*url.URL, error) { return o.cri.exec(ctx, o.container, s, command...) }
}

// Runs a command to its end.
func (o *options) run(ctx context.Context, t transport, in []byte, command ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer

	x, err := t.executor(o.execURLs(ctx, streams{in != nil, true, true, false}, command...))
	if err != nil {
		return "", "", err
	}
	so := remotecommand.StreamOptions{Stdout: &out, Stderr: &errOut}
	if in != nil {
		so.Stdin = bytes.NewReader(in)
	}
	err = x.StreamWithContext(ctx, so)
	return out.String(), errOut.String(), err
}

func (o *options) shell(ctx context.Context, t transport, script string) (stdout, stderr string, err error) {
	return o.run(ctx, t, nil, "sh", "-c", script)
}

func (o *options) bothOutputs(ctx context.Context, t transport) error {
	out, errOut, err := o.shell(ctx, t, "echo out; echo err >&2")
	return errors.Join(wantCode(err, 0), wantText("stdout", out, "out\n"), wantText("stderr", errOut, "err\n"))
}

func (o *options) code(ctx context.Context, t transport, script string, code int) error {
	_, _, err := o.shell(ctx, t, script)
	return wantCode(err, code)
}

func (o *options) unknownCommand(ctx context.Context, t transport) error {
	_, _, err := o.run(ctx, t, nil, "no-such-program")
	if err == nil || exitCode(err) >= 0 || !strings.Contains(err.Error(), "no-such-program") {
		return fmt.Errorf("a command that is not there gives: %v", err)
	}
	return nil
}

// All of it comes back, and the end of stdin ends the command.
func (o *options) echo(ctx context.Context, t transport, n int) error {
	sent := make([]byte, n)
	rand.Read(sent)
	out, _, err := o.run(ctx, t, sent, "cat")
	if out != string(sent) {
		err = errors.Join(err, fmt.Errorf("%d bytes came back of %d, or others", len(out), n))
	}
	return wantCode(err, 0)
}

// A command that reads no stdin ends well, whatever the client sends.
func (o *options) unreadInput(ctx context.Context, t transport) error {
	_, _, err := o.run(ctx, t, make([]byte, 4<<20), "true")
	return wantCode(err, 0)
}

func (o *options) terminal(ctx context.Context, t transport) error {
	const script = `until [ "$(stty size)" = "30 100" ]; do :; done; echo first
		until [ "$(stty size)" = "50 200" ]; do :; done; echo second; read x; echo "[$x]"; exit 3`
	queue := make(sizes, 2)
	queue <- remotecommand.TerminalSize{Width: 100, Height: 30}
	s, err := startSession(ctx, t, o.execURLs(ctx, streams{true, true, false, true}, "sh", "-c", script), streams{true, true, false, true}, queue)
	if err != nil {
		return err
	}
	defer close(queue)
	if err = s.out.waitFor(ctx, "first\r\n"); err != nil {
		return err
	}
	queue <- remotecommand.TerminalSize{Width: 200, Height: 50}
	if err = s.out.waitFor(ctx, "second\r\n"); err != nil {
		return err
	}
	if err = s.say(ctx, "word\n", "[word]\r\n"); err != nil {
		return err
	}
	return wantCode(s.end(ctx), 3)
}

// The client leaves. That ends what reads its stdin or has its terminal: the test sees that nothing stays.
func (o *options) cancel(ctx context.Context, t transport, tty bool, command string) error {
	mine, cancel := context.WithCancel(ctx)
	defer cancel()
	kind := streams{true, true, !tty, tty}
	s, err := startSession(mine, t, o.execURLs(ctx, kind, "sh", "-c", command), kind, nil)
	if err != nil {
		return err
	}
	if err = s.out.waitFor(ctx, "up"); err != nil {
		return err
	}
	cancel()
	if err = s.end(ctx); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("cancelled, it ended with %v", err)
	}
	return nil
}

// A process that the command left behind keeps its output open, and not the session.
func (o *options) leftBehind(ctx context.Context, t transport) error {
	out, _, err := o.shell(ctx, t, "until [ -e /tmp/end ]; do usleep 10000; done & echo done")
	if err = errors.Join(wantCode(err, 0), wantText("stdout", out, "done\n")); err != nil {
		return err
	}
	return o.code(ctx, t, "touch /tmp/end; while pidof usleep > /dev/null; do usleep 10000; done; rm /tmp/end", 0)
}

func (o *options) many(ctx context.Context, t transport, n int) error {
	var wait sync.WaitGroup
	errs := make([]error, n)
	for i := range errs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			out, _, err := o.shell(ctx, t, fmt.Sprintf("echo %d; exit %d", i, i))
			errs[i] = errors.Join(wantCode(err, i), wantText("stdout", out, fmt.Sprintf("%d\n", i)))
		}()
	}
	wait.Wait()
	return errors.Join(errs...)
}

func checkExec(o *options) {
	for _, t := range transports {
		on := func(name string, f func(ctx context.Context) error) { check("exec by "+t.name+": "+name, f) }
		on("stdout and stderr", func(ctx context.Context) error { return o.bothOutputs(ctx, t) })
		on("exit code 7", func(ctx context.Context) error { return o.code(ctx, t, "exit 7", 7) })
		on("a signal is 128 and its number", func(ctx context.Context) error { return o.code(ctx, t, "kill -KILL $$", 137) })
		on("a command that is not there is named", func(ctx context.Context) error { return o.unknownCommand(ctx, t) })
		on("1 byte through cat", func(ctx context.Context) error { return o.echo(ctx, t, 1) })
		on("16 MiB through cat", func(ctx context.Context) error { return o.echo(ctx, t, 16<<20) })
		on("stdin that nobody reads", func(ctx context.Context) error { return o.unreadInput(ctx, t) })
		on("a terminal: sizes, typing, exit code", func(ctx context.Context) error { return o.terminal(ctx, t) })
		on("cancelled: its stdin ends", func(ctx context.Context) error { return o.cancel(ctx, t, false, "echo up; cat") })
		on("cancelled: its terminal hangs up", func(ctx context.Context) error { return o.cancel(ctx, t, true, "echo up; exec sleep 100000") })
		on("what a command leaves behind is not waited for", func(ctx context.Context) error { return o.leftBehind(ctx, t) })
		on("20 at once, each with its exit code", func(ctx context.Context) error { return o.many(ctx, t, 20) })
	}
}
