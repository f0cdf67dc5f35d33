package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
)

// What clients write at a time: io.Copy's buffer.
const chunk = 32 << 10

// Seconds of CPU that the runtime's processes have used: those whose name begins with it, as containerd and containerd-shim do.
func (o *options) cpu() float64 {
	var ns float64
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		text, _ := os.ReadFile(name)
		if !strings.HasPrefix(string(text), o.processes) {
			continue
		}
		tasks, _ := filepath.Glob(filepath.Dir(name) + "/task/*/schedstat")
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			if first, _, found := strings.Cut(string(text), " "); found {
				used, _ := strconv.ParseFloat(first, 64)
				ns += used
			}
		}
	}
	return ns / 1e9
}

// Moves o.megabytes by f, and prints MB/s and CPU seconds per GB.
func (o *options) throughput(name string, f func(ctx context.Context, bytes int64) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	bytes := o.megabytes * 1_000_000
	before, start := o.cpu(), time.Now()
	if err := f(ctx, bytes); err != nil {
		fmt.Printf("# %s: %v\n", name, err)
		failed++
		return
	}
	seconds, used := time.Since(start).Seconds(), o.cpu()-before
	fmt.Printf("%s\tMB/s\t%.1f\n%s\tCPU s/GB\t%.4f\n", name, float64(bytes)/1e6/seconds, name, used/float64(bytes)*1e9)
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func wantBytes(got, want int64, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("%d bytes came of %d", got, want)
	}
	return err
}

func (o *options) execOut(ctx context.Context, bytes int64) error {
	const block = 100_000
	var out counter
	x, err := spdyExecutor(o.execURLs(ctx, streams{out: true}, "dd", "if=/dev/zero", fmt.Sprintf("bs=%d", block), fmt.Sprintf("count=%d", bytes/block)))
	if err != nil {
		return err
	}
	err = x.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out})
	return wantBytes(out.n, bytes, err)
}

type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(int64(len(p)), z.left)
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

// In the container: reads all of stdin and says how much that was. busybox' wc reads too slowly to be measured against.
func sink() error {
	n, err := io.CopyBuffer(&counter{}, struct{ io.Reader }{os.Stdin}, make([]byte, 64<<10))
	fmt.Println(n)
	return err
}

func (o *options) execIn(ctx context.Context, bytes int64) error {
	var out strings.Builder
	x, err := spdyExecutor(o.execURLs(ctx, streams{in: true, out: true}, "/client/client", "sink"))
	if err != nil {
		return err
	}
	if err = x.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: &zeros{bytes}, Stdout: &out}); err != nil {
		return err
	}
	return wantText("what came", out.String(), fmt.Sprintf("%d\n", bytes))
}

// The streams of one connection to a port.
func openPair(conn httpstream.Connection, port, number int) (data, errors httpstream.Stream, err error) {
	header := http.Header{"Streamtype": {"error"}, "Port": {strconv.Itoa(port)}, "Requestid": {strconv.Itoa(number)}}
	if errors, err = conn.CreateStream(header); err != nil {
		return
	}
	errors.Close()
	header.Set("Streamtype", "data")
	data, err = conn.CreateStream(header)
	return
}

func (o *options) dialForward(ctx context.Context) (httpstream.Connection, error) {
	dialer, err := spdyDialer(o.forwardURLs(ctx))
	if err != nil {
		return nil, err
	}
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	return conn, err
}

// n connections at once to a port of serve(), each with its part.
func (o *options) pairs(ctx context.Context, n, port int, bytes int64, talk func(s httpstream.Stream, bytes int64) error) error {
	conn, err := o.dialForward(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	results := make(chan error, n)
	for i := range n {
		data, _, err := openPair(conn, port, i)
		if err != nil {
			return err
		}
		go func() { results <- talk(data, bytes/int64(n)) }()
	}
	for range n {
		select {
		case err := <-results:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func receive(s httpstream.Stream, bytes int64) error {
	got, err := io.CopyBuffer(&counter{}, io.LimitReader(s, bytes), make([]byte, chunk))
	s.Reset()
	return wantBytes(got, bytes, err)
}

// The other side answers the end with its own.
func send(s httpstream.Stream, bytes int64) error {
	if _, err := io.CopyBuffer(s, io.LimitReader(&zeros{bytes}, bytes), make([]byte, chunk)); err != nil {
		return err
	}
	s.Close()
	_, err := io.Copy(io.Discard, s)
	return err
}

func (o *options) firstByte() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	start := time.Now()
	mine, stop := context.WithCancel(ctx)
	defer stop()
	t := transport{executor: func(next urls) (remotecommand.Executor, error) { return spdyExecutor(next) }}
	kind := streams{in: true, out: true}
	s, err := startSession(mine, t, o.execURLs(ctx, kind, "sh", "-c", "echo up; read x"), kind, nil)
	if err == nil {
		err = s.out.waitFor(ctx, "up")
	}
	if err != nil {
		fmt.Printf("# exec to first byte: %v\n", err)
		failed++
		return
	}
	fmt.Printf("exec, first byte\tms\t%.3f\n", time.Since(start).Seconds()*1e3)
	s.in.Close()
	s.end(ctx)
}

// One line a figure: name, unit, value.
func measure(o *options) {
	for range 10 {
		o.firstByte()
	}
	o.throughput("exec stdout", o.execOut)
	o.throughput("exec stdin", o.execIn)
	for _, n := range []int{1, 50} {
		connections := fmt.Sprintf("%d connection", n)
		if n > 1 {
			connections += "s"
		}
		o.throughput("port-forward from the pod, "+connections, func(ctx context.Context, bytes int64) error {
			return o.pairs(ctx, n, o.port+2, bytes, receive)
		})
		o.throughput("port-forward to the pod, "+connections, func(ctx context.Context, bytes int64) error {
			return o.pairs(ctx, n, o.port+1, bytes, send)
		})
	}
}

// ---- sessions that do nothing ----------------------------------------------------------------------------------------

// Opens o.sessions of a kind, says "up" when all have moved a byte, and ends them at the end of its own stdin. To attach it takes
// several containers, A,B,...: one may have but so many clients.
func hold(o *options) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := transport{executor: func(next urls) (remotecommand.Executor, error) { return spdyExecutor(next) }}
	kind := streams{in: true, out: true, err: true}
	var ends []func()
	containers := strings.Split(o.container, ",")
	for i := range o.sessions {
		if o.kind == "port-forward" {
			conn := must(o.dialForward(ctx))
			data, _, err := openPair(conn, o.port, i)
			must(data, err)
			must(data.Write([]byte("x")))
			must(data.Read(make([]byte, 1)))
			ends = append(ends, func() { conn.Close() })
			continue
		}
		next := o.execURLs(ctx, kind, "cat")
		if o.kind == "attach" {
			o.container = containers[i%len(containers)]
			next = o.attachURLs(ctx, kind)
		}
		s := must(startSession(ctx, t, next, kind, nil))
		line := fmt.Sprintf("%d.\n", i) // others that are attached hear it, too
		must(0, s.say(ctx, line, line))
		ends = append(ends, func() { s.in.Close(); <-s.result })
	}
	fmt.Println("up")
	io.Copy(io.Discard, os.Stdin)
	for _, end := range ends {
		end()
	}
}
