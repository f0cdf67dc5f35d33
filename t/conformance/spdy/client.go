// Tests server.c, whose path is the argument, with the client that kubelets and crictl use. Prints TAP.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/moby/spdystream"
)

const limit = 60 * time.Second

var failed, count int

func ok(err error, name string) {
	count++
	if err == nil {
		fmt.Printf("ok %d - %s\n", count, name)
		return
	}
	failed++
	fmt.Printf("not ok %d - %s\n# %v\n", count, name, err)
}

func connect(server string) (*spdystream.Connection, *exec.Cmd, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs, ours := os.NewFile(uintptr(fds[0]), "server"), os.NewFile(uintptr(fds[1]), "client")
	defer theirs.Close()
	defer ours.Close()
	cmd := exec.Command(server)
	cmd.Stdin, cmd.Stderr = theirs, os.Stderr
	if err = cmd.Start(); err != nil {
		return nil, nil, err
	}
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, err
	}
	spdy, err := spdystream.NewConnection(conn, false)
	if err == nil {
		go spdy.Serve(spdystream.NoOpStreamHandler)
	}
	return spdy, cmd, err
}

func open(c *spdystream.Connection, h http.Header, fin bool) (*spdystream.Stream, error) {
	s, err := c.CreateStream(h, nil, fin)
	if err == nil {
		err = s.WaitTimeout(limit)
	}
	return s, err
}

func headers(c *spdystream.Connection) error {
	h := http.Header{"Streamtype": {"headers"}, "X-Many": {"one", "two"}, "X-Long": {strings.Repeat("l", 5000)}, "X-Empty": {""}}
	s, err := open(c, h, true)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	lines := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(got)), "\n") {
		lines[line] = true
	}
	for _, want := range []string{"streamtype=headers", "x-many=one", "x-many=two", "x-long=" + strings.Repeat("l", 5000), "x-empty="} {
		if !lines[want] {
			return fmt.Errorf("no %.40q in %.200q", want, got)
		}
	}
	if len(lines) != 5 {
		return fmt.Errorf("%d lines of headers", len(lines))
	}
	return nil
}

// Sends n random bytes in writes of step, half-closes, and wants the same back, then the end.
func echo(c *spdystream.Connection, n, step int) error {
	s, err := open(c, http.Header{"Streamtype": {"data"}}, false)
	if err != nil {
		return err
	}
	sent := make([]byte, n)
	rand.Read(sent)
	written := make(chan error, 1)
	go func() {
		for at := 0; at < n; at += step {
			if _, err := s.Write(sent[at:min(at+step, n)]); err != nil {
				written <- err
				return
			}
		}
		written <- s.Close()
	}()
	h := sha256.New()
	got, err := io.Copy(h, s)
	if err = errors.Join(err, <-written); err != nil {
		return err
	}
	want := sha256.Sum256(sent)
	if got != int64(n) || !bytes.Equal(h.Sum(nil), want[:]) {
		return fmt.Errorf("%d bytes came back of %d, or others", got, n)
	}
	return nil
}

func many(c *spdystream.Connection, n int) error {
	var wait sync.WaitGroup
	errs := make([]error, n)
	for i := range errs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			errs[i] = echo(c, 20000+i, 7000)
		}()
	}
	wait.Wait()
	return errors.Join(errs...)
}

func oneByOne(c *spdystream.Connection, n int) error {
	for i := 0; i < n; i++ {
		if err := echo(c, i%100, 50); err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
	}
	return nil
}

func refused(c *spdystream.Connection) error {
	_, err := open(c, http.Header{"Streamtype": {"refuse"}}, false)
	if err == nil {
		return errors.New("a stream that was reset counts as opened")
	}
	return nil
}

func reset(c *spdystream.Connection) error {
	s, err := open(c, http.Header{"Streamtype": {"data"}}, false)
	if err == nil {
		_, err = s.Write(make([]byte, 100000))
	}
	return errors.Join(err, s.Reset(), echo(c, 1000, 100))
}

func main() {
	c, cmd, err := connect(os.Args[1])
	if err != nil {
		fmt.Println("Bail out!", err)
		os.Exit(1)
	}
	time.AfterFunc(limit, func() {
		fmt.Println("Bail out! not done after", limit)
		cmd.Process.Kill()
		os.Exit(1)
	})
	ok(headers(c), "headers arrive, several values of one name too")
	ok(echo(c, 0, 1), "a stream of no bytes")
	start := time.Now()
	ok(echo(c, 64<<20, 32<<10), "64 MiB come back")
	fmt.Printf("# %.0f MiB/s each way\n", 64/time.Since(start).Seconds())
	ok(echo(c, 10<<20, 3<<20), "data frames of 3 MiB")
	ok(many(c, 300), "300 streams at once")
	ok(oneByOne(c, 2000), "2000 streams one after another")
	_, err = c.Ping()
	ok(err, "a ping is answered")
	ok(refused(c), "a stream may be refused")
	ok(reset(c), "a stream that is reset disturbs no other")
	ok(c.CloseWait(), "the connection ends with GOAWAY")
	ok(cmd.Wait(), "the server found no fault")
	fmt.Printf("1..%d\n", count)
	if failed > 0 {
		os.Exit(1)
	}
}
