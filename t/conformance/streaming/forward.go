package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	streaming "k8s.io/streaming/pkg/httpstream"
)

// A way to speak to a URL of PortForward.
type dialing struct {
	name   string
	dialer func(next urls) (httpstream.Dialer, error)
}

func spdyDialer(next urls) (httpstream.Dialer, error) {
	u, err := next()
	if err != nil {
		return nil, err
	}
	roundTripper, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	return spdy.NewDialer(upgrader, &http.Client{Transport: roundTripper}, "POST", u), nil
}

func tunnelDialer(next urls) (httpstream.Dialer, error) {
	u, err := next()
	if err != nil {
		return nil, err
	}
	return portforward.NewSPDYOverWebsocketDialer(u, config)
}

// As kubectl does it, with a server that refuses the tunnel: here, because of a token that is not one.
func fallbackDialer(next urls) (httpstream.Dialer, error) {
	primary, err := tunnelDialer(func() (*url.URL, error) {
		u, err := next()
		if err == nil {
			u.Path += "x"
		}
		return u, err
	})
	if err != nil {
		return nil, err
	}
	secondary, err := spdyDialer(next)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialer(primary, secondary, streaming.IsUpgradeFailure), nil
}

var dialings = []dialing{
	{"SPDY", spdyDialer},
	{"SPDY in WebSocket", tunnelDialer},
	{"fallback to SPDY", fallbackDialer},
}

func (o *options) forwardURLs(ctx context.Context) urls {
	return func() (*url.URL, error) { return o.cri.portForward(ctx, o.pod) }
}

// What kubectl port-forward is: a listener on loopback, whose connections go to a port of the pod.
type forwarder struct {
	address string
	stop    chan struct{}
	result  chan error
}

func (o *options) forward(ctx context.Context, d dialing, port int) (*forwarder, error) {
	dialer, err := d.dialer(o.forwardURLs(ctx))
	if err != nil {
		return nil, err
	}
	f := &forwarder{stop: make(chan struct{}), result: make(chan error, 1)}
	ready := make(chan struct{})
	pf, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, f.stop, ready, nil, nil)
	if err != nil {
		return nil, err
	}
	go func() { f.result <- pf.ForwardPorts() }()
	select {
	case <-ready:
	case err = <-f.result:
		return nil, fmt.Errorf("it ended before it forwarded: %w", err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ports, err := pf.GetPorts()
	if err != nil {
		return nil, err
	}
	f.address = fmt.Sprintf("127.0.0.1:%d", ports[0].Local)
	return f, nil
}

func (f *forwarder) end(ctx context.Context) error {
	close(f.stop)
	select {
	case err := <-f.result:
		return err
	case <-ctx.Done():
		return errors.New("the forwarding does not end")
	}
}

// Sends n random bytes, half-closes, and wants the same back, then the end.
func echoOver(ctx context.Context, address string, n int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, there := ctx.Deadline(); there {
		conn.SetDeadline(end)
	}
	sent := make([]byte, n)
	rand.Read(sent)
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		written <- errors.Join(err, conn.(*net.TCPConn).CloseWrite())
	}()
	got, err := io.ReadAll(conn)
	if err = errors.Join(err, <-written); err == nil && string(got) != string(sent) {
		err = fmt.Errorf("%d bytes came back of %d, or others", len(got), n)
	}
	return err
}

// times rounds of n connections at once over one session.
func (o *options) connections(ctx context.Context, d dialing, n, size, times int) error {
	f, err := o.forward(ctx, d, o.port)
	if err != nil {
		return err
	}
	for range times {
		var wait sync.WaitGroup
		errs := make([]error, n)
		for i := range errs {
			wait.Add(1)
			go func() {
				defer wait.Done()
				errs[i] = echoOver(ctx, f.address, size+i)
			}()
		}
		wait.Wait()
		if err = errors.Join(errs...); err != nil {
			return errors.Join(err, f.end(ctx))
		}
	}
	return f.end(ctx)
}

// The streams of one connection, without the forwarder, which hides what the error stream says.
func (o *options) refused(ctx context.Context, d dialing) error {
	dialer, err := d.dialer(o.forwardURLs(ctx))
	if err != nil {
		return err
	}
	conn, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = wantText("the protocol", protocol, portforward.PortForwardProtocolV1Name); err != nil {
		return err
	}
	header := http.Header{"Streamtype": {"error"}, "Port": {"1"}, "Requestid": {"0"}}
	errors, err := conn.CreateStream(header)
	if err != nil {
		return err
	}
	errors.Close()
	header.Set("Streamtype", "data")
	data, err := conn.CreateStream(header)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(errors)
	if err != nil || !strings.Contains(strings.ToLower(string(text)), "refused") {
		return fmt.Errorf("a port that is not open gives %q, %v", text, err)
	}
	if got, err := io.ReadAll(data); err != nil || len(got) > 0 {
		return fmt.Errorf("its data stream gives %d bytes, %v", len(got), err)
	}
	return nil
}

func checkForward(o *options) {
	for _, d := range dialings {
		on := func(name string, f func(ctx context.Context) error) { check("port-forward by "+d.name+": "+name, f) }
		on("one connection, 32 MiB each way", func(ctx context.Context) error { return o.connections(ctx, d, 1, 32<<20, 1) })
		on("100 connections at once, twice", func(ctx context.Context) error { return o.connections(ctx, d, 100, 200_000, 2) })
		on("no bytes, only the end", func(ctx context.Context) error { return o.connections(ctx, d, 1, 0, 3) })
		on("a port that refuses is told", func(ctx context.Context) error { return o.refused(ctx, d) })
	}
}

// ---- in the container ------------------------------------------------------------------------------------------------

// Echoes on port, throws away on the next, and sends without end on the one after that.
func serve(port int) error {
	zeros := make([]byte, 256<<10)
	failed := make(chan error)
	for i, talk := range []func(net.Conn){
		func(c net.Conn) { io.Copy(c, c) },
		func(c net.Conn) { io.Copy(io.Discard, c) },
		func(c net.Conn) {
			for {
				if _, err := c.Write(zeros); err != nil {
					return
				}
			}
		},
	} {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					failed <- err
					return
				}
				go func() {
					defer conn.Close()
					talk(conn)
				}()
			}
		}()
	}
	fmt.Println("up")
	return <-failed
}
