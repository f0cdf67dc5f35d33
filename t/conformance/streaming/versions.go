package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"
	"k8s.io/client-go/tools/remotecommand"
)

// A command whose streams, order and exit code show; and what each version says of that code.
const speaks = "read x; echo out $x; echo err >&2; exit 5"

// From v4 on the exit code is a number, before it is in a sentence, which the client of v1 may not wait for: it is through with
// the ends of stdout and stderr.
func (o *options) version(ctx context.Context, make func(next urls) (remotecommand.Executor, error), structured, halfClose bool) error {
	in := "word\n"
	if halfClose {
		in = "word" // its end is that of the line
	}
	out, errOut, err := o.run(ctx, transport{executor: make}, []byte(in), "sh", "-c", speaks)
	if structured {
		err = wantCode(err, 5)
	} else if halfClose && err == nil || err != nil && (exitCode(err) != -1 || !strings.Contains(err.Error(), "exit code 5")) {
		err = fmt.Errorf("exit code 5 is said as: %v", err)
	} else {
		err = nil
	}
	return errors.Join(err, wantText("stdout", out, "out word\n"), wantText("stderr", errOut, "err\n"))
}

// ---- WebSockets of which client-go has no client ---------------------------------------------------------------------

type message struct {
	channel int
	text    string
}

// The text messages of the base64 protocols have a digit for the channel.
func decode(kind int, raw []byte) (m message, err error) {
	if len(raw) == 0 {
		return m, errors.New("a message without a channel")
	}
	if kind == websocket.BinaryMessage {
		return message{int(raw[0]), string(raw[1:])}, nil
	}
	text, err := base64.StdEncoding.DecodeString(string(raw[1:]))
	return message{int(raw[0]) - '0', string(text)}, err
}

func encode(base64ed bool, m message) (kind int, raw []byte) {
	if base64ed {
		return websocket.TextMessage, []byte(fmt.Sprintf("%d%s", m.channel, base64.StdEncoding.EncodeToString([]byte(m.text))))
	}
	return websocket.BinaryMessage, append([]byte{byte(m.channel)}, m.text...)
}

func dialWebsocket(ctx context.Context, u *url.URL, protocol string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{}
	if protocol != "" {
		dialer.Subprotocols = []string{protocol}
	}
	at := *u
	at.Scheme = "ws"
	conn, response, err := dialer.DialContext(ctx, at.String(), nil)
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, err
	}
	if end, there := ctx.Deadline(); there {
		conn.SetReadDeadline(end)
	}
	return conn, wantText("the protocol", conn.Subprotocol(), protocol)
}

// All that comes, by channel, until the server closes.
func readChannels(conn *websocket.Conn) (map[int]string, error) {
	got := map[int]string{}
	for {
		kind, raw, err := conn.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		m, err := decode(kind, raw)
		if err != nil {
			return got, err
		}
		got[m.channel] += m.text
	}
}

func (o *options) rawExec(ctx context.Context, protocol string, base64ed, structured bool) error {
	u, err := o.cri.exec(ctx, o.container, streams{true, true, true, false}, "sh", "-c", speaks)
	if err != nil {
		return err
	}
	conn, err := dialWebsocket(ctx, u, protocol)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = conn.WriteMessage(encode(base64ed, message{0, "word\n"})); err != nil {
		return err
	}
	got, err := readChannels(conn)
	words := "exit code 5"
	if structured {
		words = `"causes":[{"reason":"ExitCode","message":"5"}]`
	}
	if !strings.Contains(got[3], words) {
		err = errors.Join(err, fmt.Errorf("the error channel says %q, without %q", got[3], words))
	}
	return errors.Join(err, wantText("channel 1", got[1], "out word\n"), wantText("channel 2", got[2], "err\n"))
}

// Channels 2i and 2i+1 are a port's data and errors; each begins with the port, little endian.
func (o *options) rawForward(ctx context.Context, protocol string, base64ed bool) error {
	u, err := o.cri.portForward(ctx, o.pod)
	if err != nil {
		return err
	}
	u.RawQuery = fmt.Sprintf("port=%d&port=1", o.port)
	conn, err := dialWebsocket(ctx, u, protocol)
	if err != nil {
		return err
	}
	defer conn.Close()
	want := map[int]string{0: portWord(o.port) + "word", 1: portWord(o.port), 2: portWord(1), 3: portWord(1)}
	if err = conn.WriteMessage(encode(base64ed, message{0, "word"})); err != nil {
		return err
	}
	got := map[int]string{}
	for got[0] != want[0] || !strings.Contains(got[3], "refused") {
		kind, raw, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("after %v: %w", got, err)
		}
		m, err := decode(kind, raw)
		if err != nil {
			return err
		}
		got[m.channel] += m.text
	}
	return errors.Join(wantText("channel 1", got[1], want[1]), wantText("channel 2", got[2], want[2]))
}

func portWord(port int) string {
	return string(binary.LittleEndian.AppendUint16(nil, uint16(port)))
}

// ---- refusals --------------------------------------------------------------------------------------------------------

func (o *options) refusal(ctx context.Context, header http.Header, status int, headerBack string) error {
	u, err := o.cri.exec(ctx, o.container, streams{out: true}, "true")
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, "POST", u.String(), nil)
	if err != nil {
		return err
	}
	request.Header = header
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != status || (headerBack != "" && response.Header.Get(headerBack) == "") {
		err = errors.Join(err, fmt.Errorf("%s, %s is %q: %s", response.Status, headerBack, response.Header.Get(headerBack), body))
	}
	return err
}

// A token is good once.
func (o *options) twice(ctx context.Context) error {
	u, err := o.cri.exec(ctx, o.container, streams{out: true}, "true")
	if err != nil {
		return err
	}
	same := func() (*url.URL, error) { return u, nil }
	for i := range 2 {
		x, err := spdyExecutor(same)
		if err != nil {
			return err
		}
		err = x.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Discard})
		if i == 0 && err != nil || i == 1 && (err == nil || !strings.Contains(err.Error(), "no such token")) {
			return fmt.Errorf("use %d of a URL: %v", i+1, err)
		}
	}
	return nil
}

func checkVersions(o *options) {
	for _, v := range []struct {
		protocol              string
		structured, halfClose bool
	}{
		{"v5.channel.k8s.io", true, true}, {"v4.channel.k8s.io", true, true}, {"v3.channel.k8s.io", false, true},
		{"v2.channel.k8s.io", false, true}, {"channel.k8s.io", false, false},
	} {
		check("exec by SPDY, "+v.protocol, func(ctx context.Context) error {
			return o.version(ctx, func(next urls) (remotecommand.Executor, error) { return spdyExecutor(next, v.protocol) }, v.structured, v.halfClose)
		})
	}
	for _, v := range []struct {
		protocol  string
		halfClose bool
	}{{"v5.channel.k8s.io", true}, {"v4.channel.k8s.io", false}} {
		check("exec by client-go's WebSocket, "+v.protocol, func(ctx context.Context) error {
			return o.version(ctx, func(next urls) (remotecommand.Executor, error) { return websocketExecutor(next, v.protocol) }, true, v.halfClose)
		})
	}
	for _, v := range []struct {
		protocol             string
		base64ed, structured bool
	}{
		{"v5.channel.k8s.io", false, true}, {"v4.channel.k8s.io", false, true}, {"v4.base64.channel.k8s.io", true, true},
		{"channel.k8s.io", false, false}, {"base64.channel.k8s.io", true, false}, {"", false, false},
	} {
		check(fmt.Sprintf("exec by a bare WebSocket, %q", v.protocol), func(ctx context.Context) error {
			return o.rawExec(ctx, v.protocol, v.base64ed, v.structured)
		})
	}
	for protocol, base64ed := range map[string]bool{"v5.channel.k8s.io": false, "v4.channel.k8s.io": false, "v4.base64.channel.k8s.io": true, "": false} {
		check(fmt.Sprintf("port-forward by a bare WebSocket, %q", protocol), func(ctx context.Context) error {
			return o.rawForward(ctx, protocol, base64ed)
		})
	}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}}
	check("no protocol is offered: 400", func(ctx context.Context) error { return o.refusal(ctx, upgrade, 400, "") })
	offer := upgrade.Clone()
	offer.Set("X-Stream-Protocol-Version", "v9.channel.k8s.io")
	check("none that there is: 403 and a list", func(ctx context.Context) error {
		return o.refusal(ctx, offer, 403, "X-Accepted-Stream-Protocol-Versions")
	})
	check("no upgrade: 400", func(ctx context.Context) error { return o.refusal(ctx, http.Header{}, 400, "") })
	check("a URL is good once", o.twice)
}
