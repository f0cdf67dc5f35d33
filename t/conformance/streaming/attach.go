package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"k8s.io/client-go/tools/remotecommand"
)

func (o *options) attachURLs(ctx context.Context, s streams) urls {
	return func() (*url.URL, error) { return o.cri.attach(ctx, o.container, s) }
}

func (o *options) attach(ctx context.Context, t transport, s streams, queue remotecommand.TerminalSizeQueue) (*session, error) {
	return startSession(ctx, t, o.attachURLs(ctx, s), s, queue)
}

// The container runs cat: what one client types, all of them get; a client that ends ends nobody else.
func (o *options) twoClients(ctx context.Context, t transport) error {
	a, err := o.attach(ctx, t, streams{in: true, out: true, err: true}, nil)
	if err != nil {
		return err
	}
	if err = a.say(ctx, "first\n", "first\n"); err != nil {
		return err
	}
	b, err := o.attach(ctx, t, streams{in: true, out: true, err: true}, nil)
	if err != nil {
		return err
	}
	if err = b.say(ctx, "second\n", "second\n"); err != nil {
		return err
	}
	if err = a.out.waitFor(ctx, "second\n"); err != nil {
		return err
	}
	a.in.Close()
	if err = wantCode(a.end(ctx), 0); err != nil {
		return err
	}
	if err = b.say(ctx, "third\n", "third\n"); err != nil {
		return err
	}
	b.in.Close()
	return errors.Join(wantCode(b.end(ctx), 0), wantText("its output", b.out.String(), "second\nthird\n"))
}

func (o *options) leaves(ctx context.Context, t transport) error {
	mine, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := o.attach(mine, t, streams{in: true, out: true, err: true}, nil)
	if err != nil {
		return err
	}
	if err = s.say(ctx, "word\n", "word\n"); err != nil {
		return err
	}
	cancel()
	if err = s.end(ctx); errors.Is(err, context.Canceled) {
		return nil
	}
	return errors.Join(errors.New("it was cancelled, and ended otherwise"), err)
}

func checkAttach(o *options) {
	for _, t := range transports {
		check("attach by "+t.name+": two clients", func(ctx context.Context) error { return o.twoClients(ctx, t) })
		check("attach by "+t.name+": a client that leaves", func(ctx context.Context) error { return o.leaves(ctx, t) })
	}
}

// stdin_once: the end of the client's stdin is that of the container's, which ends with it. Over one transport.
func (o *options) once(ctx context.Context, t transport) error {
	words := strings.Repeat("0123456789abcde\n", 16384)
	s, err := o.attach(ctx, t, streams{in: true, out: true, err: true}, nil)
	if err != nil {
		return err
	}
	if err = s.say(ctx, words, words); err != nil {
		return err
	}
	s.in.Close()
	return errors.Join(wantCode(s.end(ctx), 0), wantText("its output", s.out.String(), words+"over\n"))
}

func checkAttachOnce(o *options) {
	t := transports[o.transport]
	check("attach by "+t.name+": stdin_once", func(ctx context.Context) error { return o.once(ctx, t) })
}

// The container is a shell at a terminal. The last line ends it.
func (o *options) shellAtTerminal(ctx context.Context, t transport, last bool) error {
	queue := make(sizes, 1)
	queue <- remotecommand.TerminalSize{Width: 77, Height: 33}
	defer close(queue)
	s, err := o.attach(ctx, t, streams{in: true, out: true, tty: true}, queue)
	if err != nil {
		return err
	}
	if err = s.say(ctx, `until [ "$(stty size)" = "33 77" ]; do :; done; echo si""zed`+"\n", "sized\r\n"); err != nil {
		return err
	}
	if err = s.say(ctx, "stty size\n", "33 77\r\n"); err != nil {
		return err
	}
	if last {
		if err = s.say(ctx, "exit\n", ""); err != nil {
			return err
		}
	} else {
		s.in.Close()
	}
	return wantCode(s.end(ctx), 0)
}

func checkAttachTTY(o *options) {
	for i, t := range transports {
		check("attach by "+t.name+": a shell at a terminal", func(ctx context.Context) error {
			return o.shellAtTerminal(ctx, t, i == len(transports)-1)
		})
	}
}
