package main

import (
	"context"
	"fmt"
	"net/url"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// The runtime's socket: where the URLs come from.
type cri struct {
	client runtime.RuntimeServiceClient
}

func newCRI(socket string) (*cri, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &cri{runtime.NewRuntimeServiceClient(conn)}, nil
}

// Which streams a session has; a terminal has no stderr.
type streams struct {
	in, out, err, tty bool
}

func parse(text string, err error) (*url.URL, error) {
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme != "http" || u.Port() == "") {
		err = fmt.Errorf("%q is not a URL to stream at", text)
	}
	return u, err
}

func (c *cri) exec(ctx context.Context, container string, s streams, command ...string) (*url.URL, error) {
	r, err := c.client.Exec(ctx, &runtime.ExecRequest{ContainerId: container, Cmd: command, Stdin: s.in, Stdout: s.out, Stderr: s.err, Tty: s.tty})
	return parse(r.GetUrl(), err)
}

func (c *cri) attach(ctx context.Context, container string, s streams) (*url.URL, error) {
	r, err := c.client.Attach(ctx, &runtime.AttachRequest{ContainerId: container, Stdin: s.in, Stdout: s.out, Stderr: s.err, Tty: s.tty})
	return parse(r.GetUrl(), err)
}

// kubelets ask without ports, as the client of SPDY says them with its streams
func (c *cri) portForward(ctx context.Context, pod string) (*url.URL, error) {
	r, err := c.client.PortForward(ctx, &runtime.PortForwardRequest{PodSandboxId: pod})
	return parse(r.GetUrl(), err)
}
