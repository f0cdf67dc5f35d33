# PortForward: connections into a pod, over SPDY, over WebSocket, and over SPDY in WebSocket.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Stream;

my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);
my $host_config = $c->pod_config(name => 'host', host_network => 1);
my $host = $c->run_pod($host_config);

# Servers in the pod's network and in the host's: t/lib/port_server.pl.
my %server = (pod => "$c->{dir}/pod-server", host => "$c->{dir}/host-server");
sub serve {
    my ($name, @enter) = @_;
    push @{$c->{helpers}}, $c->spawn("$server{$name}.log", argv => [@enter, $^X, "$FindBin::Bin/lib/port_server.pl", $server{$name}]);
    wait_for("the $name\'s server", sub { (slurp($server{$name}) // '') eq "listening\n" });
}
serve('pod', 'nsenter', "--net=$c->{state}/pods/$pod/ns/net", '--');
serve('host');

sub forward { return Cricket::Stream->port_forward($c, @_) }

# One connection to a port: a session and the name of its number. Over WebSocket that is the only one.
sub connected {
    my ($port, %o) = @_;
    my $transport = $o{transport} // 'spdy';
    my $s = forward($o{pod} // $pod, transport => $transport, ports => [$transport eq 'websocket' ? $port : ()], %o);
    $s->pair(0, $port) if $s->{spdy};
    return $s;
}

# What a target has said: behind the port that a WebSocket's channel begins with.
sub said { my ($s, $n) = @_; return $s->{got}{"data$n"} =~ s/^..//sr if !$s->{spdy}; return $s->{got}{"data$n"} }
sub see_said { my ($s, $n, $text) = @_; $s->until("\"$text\"", sub { said($s, $n) eq $text }); return pass("... \"" . $text =~ s/\n//r . '"') }

connected(7001)->pair(1, 7001)->close;    # the first connection opens /dev/null in the daemon, once

for my $transport (qw(spdy tunnel)) {
    my @how = (transport => $transport);
    # ---- one connection ------------------------------------------------------------------------------------------------------
    $c->leaks_nothing("an echo, $transport", sub {
        my $s = connected(7001, @how);
        $s->write(data0 => "hello\n");
        see_said($s, 0, "hello\n");
        ok $s->{replied}{data0} && $s->{replied}{error0}, "$transport: both streams are replied to";
        $s->write(data0 => 'bye')->finish('data0');
        $s->until('the end of both streams', sub { $s->{ended}{data0} && $s->{ended}{error0} });
        is $s->{got}{data0}, "hello\nbye", '... the end of the client ends the server, which has got everything';
        is $s->{got}{error0}, '', '... without an error';
        ok !$s->{gone}, '... and the session is there for more';
        $s->pair(1, 7001)->write(data1 => 'again');
        see_said($s, 1, 'again');
        $s->close;
    });
    $c->leaks_nothing("the server ends first, $transport", sub {
        my $s = connected(7002, @how);
        $s->until('the end of its data', sub { $s->{ended}{data0} });
        is $s->{got}{data0}, "hello\n", "$transport: a server that has said everything";
        ok !$s->{ended}{error0}, '... still hears';
        $s->write(data0 => 'x' x 100_000)->finish('data0');
        $s->until('the end', sub { $s->{ended}{error0} });
        wait_for('the server to have got all', sub { slurp($server{pod}) eq "held 100000\n" });
        pass '... all of what the client says';
        $s->close;
    });
    $c->leaks_nothing("IPv6, $transport", sub {
        my $s = connected(7007, @how);
        $s->write(data0 => 'six');
        see_said($s, 0, 'six');
        $s->close;
    });
    $c->leaks_nothing("refused, $transport", sub {
        my $s = connected(7999, @how);
        $s->until('the error', sub { $s->{ended}{error0} });
        like $s->{got}{error0}, qr/^error forwarding port 7999 to pod \Q$pod\E, uid : failed to connect to localhost:7999 inside the pod's network namespace, IPv4: Connection refused, IPv6: Connection refused/,
          "$transport: a port that nobody serves";
        $s->pair(1, 7001)->write(data1 => 'alive');
        see_said($s, 1, 'alive');
        $s->close;
    });
    $c->leaks_nothing("reset by the server, $transport", sub {
        my $s = connected(7006, @how);
        $s->until('the end', sub { $s->{ended}{error0} });
        like $s->{got}{error0}, qr/^(|error forwarding port 7006.*reset by peer.*)$/, "$transport: a server that resets";
        $s->close;
    });
    $c->leaks_nothing("reset by the client, $transport", sub {
        my $s = connected(7001, @how);
        $s->write(data0 => 'x');
        see_said($s, 0, 'x');
        $s->rst('data0')->pair(1, 7001)->rst('error1')->write(data1 => 'deaf to errors');
        see_said($s, 1, 'deaf to errors');
        $s->close;
    });

    # ---- many connections ----------------------------------------------------------------------------------------------------
    $c->leaks_nothing("three hundred connections, $transport", sub {
        my $s = forward($pod, @how);
        $s->pair($_, $_ % 10 ? 7001 : 7999)->write("data$_" => "number $_\n") for 1 .. 300;
        my @served = grep { $_ % 10 } 1 .. 300;
        $s->until('every answer', sub { !grep { $s->{got}{"data$_"} ne "number $_\n" } @served });
        pass "$transport: three hundred connections at once, each with its own answer";
        $s->finish("data$_") for @served;
        $s->until('every end', sub { !grep { !$s->{ended}{"error$_"} } 1 .. 300 });
        is scalar(grep { $s->{got}{"error$_"} ne '' } 1 .. 300), 30, '... and thirty that were refused';
        $s->close;
    });
    $c->leaks_nothing("three hundred connections that are dropped, $transport", sub {
        for my $how (qw(close abort)) {
            my $s = forward($pod, @how);
            $s->pair($_, 7001)->write("data$_" => 'x' x 1000) for 1 .. 300;
            $s->until('one answer', sub { grep { $_ } map { $s->{seen}{"data$_"} } 1 .. 300 });
            $s->$how;
        }
        my $s = connected(7001, @how);
        $s->write(data0 => 'on');
        see_said($s, 0, 'on');
        $s->close;
    });

    # ---- much ----------------------------------------------------------------------------------------------------------------
    $c->leaks_nothing("much, $transport", sub {
        my $block = join '', map { pack 'N', $_ } 1 .. 25_000;
        my $sha = Digest::SHA->new(1);
        $sha->add($block) for 1 .. 1000;
        my $want = $sha->hexdigest;
        my $s = connected(7004, @how, hash => 1);
        $s->until('a hundred megabytes', sub { $s->{ended}{data0} }, 60);
        is $s->digest('data0'), $want, "$transport: a hundred megabytes from the server";
        $s->close;
        return if $transport ne 'spdy';
        my $left = 2000;
        $s = connected(7005, @how);
        $s->{source} = [data0 => sub { return if !$left--; return substr $block, ($left % 2) ? 0 : 50_000, 50_000 }];
        $sha = Digest::SHA->new(1);
        $sha->add(substr($block, 0, 50_000), substr $block, 50_000) for 1 .. 1000;
        $s->until('the digest', sub { $s->{ended}{data0} }, 60);
        is $s->{got}{data0}, $sha->hexdigest, '... and to it';
        $s->close;
    });
}

# ---- WebSocket channels ----------------------------------------------------------------------------------------------------------
for my $protocol ('v5.channel.k8s.io', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io', '') {
    my @how = (transport => 'websocket', protocols => [$protocol || ()]);
    my $name = $protocol || 'no protocol';
    $c->leaks_nothing("channels, $name", sub {
        my $s = forward($pod, ports => [7001, 7999, 7007, 7002], @how);
        $s->write(data0 => "hello\n")->write(data2 => "six\n");
        see_said($s, 0, "hello\n");
        see_said($s, 2, "six\n");
        see_said($s, 3, "hello\n");
        is_deeply [map { unpack 'v', $s->{got}{$_} } qw(data0 error0 data1 error1 data2)], [7001, 7001, 7999, 7999, 7007], "$name: each channel begins with its port";
        $s->until('the error', sub { length $s->{got}{error1} > 2 });
        like substr($s->{got}{error1}, 2), qr/^error forwarding port 7999 .*Connection refused/, '... a refusal';
        ok !$s->{gone}, '... which ends no other channel';
        if ($protocol =~ /^v5/) {
            $s->finish('data0')->finish('data2')->finish('data3');
            is $s->wait_gone->{close}[0], 1000, '... when all are over the session is';
        } else {
            $s->close;
        }
    });
}
$c->leaks_nothing('many ports', sub {
    my $s = forward($pod, transport => 'websocket', ports => [(7001) x 32]);
    $s->write("data$_" => "number $_") for 0 .. 31;
    $s->until('every answer', sub { !grep { said($s, $_) ne "number $_" } 0 .. 31 });
    pass '32 ports in one WebSocket';
    $s->close;
});
for my $row (['port=0', qr/port/], ['port=x', qr/port/], ['', qr/port/], [join('&', ('port=7001') x 33), qr/32/], ['port=70000', qr/port/]) {
    $c->leaks_nothing("the query $row->[0]", sub {
        my $r = Cricket::Stream::answer(Cricket::Stream::port_url($c, $pod) . "?$row->[0]", transport => 'websocket', protocols => ['v4.channel.k8s.io']);
        is $r->{status}, 400, "ports in the query: \"" . substr($row->[0], 0, 20) . '": 400';
        like $r->{body}, $row->[1], '... and says why';
    });
}

# ---- what clients of SPDY may say ------------------------------------------------------------------------------------------------
$c->leaks_nothing('an old client', sub {
    my $s = forward($pod);
    $s->stream('error0', streamtype => 'error', port => 7001);
    $s->stream('data0',  streamtype => 'data',  port => 7001);
    $s->write(data0 => 'old');
    see_said($s, 0, 'old');
    $s->put(Cricket::Spdy::ping_frame(7))->until('the answer to a ping', sub { ($s->{pong} // 0) == 7 });
    pass 'a client without request ids; a ping is answered';
    $s->close;
});
$c->leaks_nothing('wrong streams', sub {
    my $s = forward($pod);
    my @wrong = ({port => 7001}, {streamtype => 'data'}, {streamtype => 'other', port => 7001}, {streamtype => 'data', port => 0},
                 {streamtype => 'data', port => 65536}, {streamtype => 'error', port => '7001x'}, {streamtype => 'error', port => ''});
    $s->stream("wrong$_", %{$wrong[$_]}) for 0 .. $#wrong;
    $s->until('all to be reset', sub { !grep { !$s->{reset}{"wrong$_"} } 0 .. $#wrong });
    pass 'a stream without a kind or a port is reset';
    $s->pair(0, 7001)->write(data0 => 'still');
    see_said($s, 0, 'still');
    $s->stream('twice', streamtype => 'data', port => 7001, requestid => 'a');
    $s->stream('again', streamtype => 'data', port => 7001, requestid => 'a');
    $s->stream('other', streamtype => 'error', port => 7002, requestid => 'a');
    $s->until('the second to be reset', sub { $s->{reset}{again} && $s->{reset}{other} });
    pass '... as is a second one of a request, and one with another port';
    $s->close;
});

# ---- pods ------------------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('a pod with the network of the host', sub {
    my $s = connected(7001, pod => $host);
    $s->write(data0 => 'host')->pair(1, 7002);
    see_said($s, 0, 'host');
    see_said($s, 1, "hello\n");
    $s->finish('data1')->until('the end', sub { $s->{ended}{error1} });
    wait_for('the server of the host', sub { slurp($server{host}) eq "held 0\n" });
    pass '... and it is the host that answers';
    $s->close;
});
for my $how ('StopPodSandbox', 'RemovePodSandbox') {
    $c->leaks_nothing("$how meanwhile", sub {
        my $config = $c->pod_config;
        my $mine = $c->run_pod($config);
        my $id = $c->run_container($mine, $config, $c->container_config('nc -ll -p 7100 -e cat'));
        my $s;
        wait_for('it to listen', sub {
            $s = connected(7100, pod => $mine);
            $s->write(data0 => 'here');
            $s->until('an answer', sub { $s->{got}{data0} || $s->{got}{error0} });
            return $s->{got}{data0} eq 'here' || $s->close;
        });
        $c->call($how, {pod_sandbox_id => $mine});
        $s->until('the end of the connection', sub { $s->{ended}{data0} || $s->{gone} });
        pass "$how ends the connections";
        $s->pair(1, 7100)->until('an error', sub { $s->{ended}{error1} || $s->{gone} });
        like $s->{got}{error1}, qr/not ready|not found/, '... and there are no more';
        $s->close;
        $c->call('RemovePodSandbox', {pod_sandbox_id => $mine});
        unlink glob "$config->{log_directory}/*";
    });
}

# ---- slow ones -------------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('targets and clients that do not read', sub {
    my $deaf = connected(7003);
    $deaf->{source} = [data0 => sub { return 'x' x 50_000 }];
    $deaf->until('the client to be held', sub {
        my $n = length $deaf->{out};
        Cricket::Stream::pump(0.2);
        return $n == length $deaf->{out};
    });
    my $unread = connected(7008, rcvbuf => 65536);
    $unread->until('some data', sub { $unread->{seen}{data0} });
    $unread->{reading} = 0;
    my $s = connected(7004, hash => 1);
    $s->until('all of another session', sub { $s->{ended}{data0} }, 60);
    is $s->{seen}{data0}, 100_000_000, 'a target that does not read and a client that does not disturb no other session';
    my ($kib) = slurp("/proc/$c->{daemon_pid}/smaps_rollup") =~ /^Anonymous: +(\d+)/m;
    cmp_ok $kib, '<', 12 << 10, "... and take little memory ($kib KiB)" if slurp("/proc/$c->{daemon_pid}/maps") !~ /libasan/;
    $deaf->abort;    # an orderly end would wait behind what is not read
    $_->close for $unread, $s;
});

# ---- the daemon goes -------------------------------------------------------------------------------------------------------------
my @s = map { my $s = connected(7001, transport => $_); $s->write(data0 => 'up'); see_said($s, 0, 'up'); $s } qw(spdy tunnel websocket);
kill TERM => $c->{daemon_pid};
$_->wait_gone for @s;
is $s[0]{goaway}, 0, 'a daemon that stops says GOAWAY';
is $s[1]{goaway}, 0, '... in a tunnel too, ';
is_deeply $s[2]{close}, [1001, 'cricket is shutting down'], '... and why, over WebSocket';
$c->ended('it stops well', 0);
$c->log_is_clean;
$c->start;
my $s = connected(7001);
$s->write(data0 => 'next');
see_said($s, 0, 'next');
$s->close;
$c->stop;
done_testing;
